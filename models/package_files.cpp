#include "models/package_files.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <openssl/evp.h>

#include "config/check.h"
#include "config/text.h"
#include "config/toml_reader.h"
#include "models/safetensors.h"

namespace einet {
namespace {

constexpr std::array<std::string_view, 5> kFiles = {kProgramFile, kWeightsFile, kEtProfileFile,
                                                    kCsProfileFile, kPredictorFile};

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= PackageLimits::kName && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                  c == '.' || c == '-';
         });
}

std::string read_name(TomlTable& t, std::string_view key) {
  std::string name = t.text(key);
  if (!name.empty() && !is_name(name)) {
    t.fail(key, "found \"" + escape(name, 60) + "\"; expected 1 to " + std::to_string(PackageLimits::kName) +
                    " of the characters A-Za-z0-9_.-, not beginning with a dot");
  } else if (name.empty() && t.has(key)) {
    t.fail(key, "must not be empty");
  }
  return name;
}

std::string read_words(TomlTable& t, std::string_view key) {
  std::string words = t.text(key, "");
  if (words.size() > PackageLimits::kText) {
    t.fail(key, "has " + std::to_string(words.size()) + " bytes; at most " +
                    std::to_string(PackageLimits::kText) + " are allowed");
  }
  return words;
}

Shape read_input(TomlTable& t) {
  if (!t.has("input")) t.fail("input", "is missing");
  const auto n = t.integers("input", 1, ProgramLimits::kDimension, 3);
  if (n.size() == 3) return {static_cast<int>(n[0]), static_cast<int>(n[1]), static_cast<int>(n[2])};
  if (n.size() == 1) return Shape::vector(static_cast<int>(n[0]));
  t.fail("input", "expected [channels, height, width] or [N]");
  return {};
}

std::vector<float> read_floats(TomlTable& t, std::string_view key, double min, int count, float fallback) {
  if (!t.has(key)) {
    t.numbers(key, min, 1e6, 0);  // so that the key counts as known
    return std::vector<float>(static_cast<std::size_t>(count), fallback);
  }
  const auto values = t.numbers(key, min, 1e6, ProgramLimits::kDimension);
  if (values.size() != static_cast<std::size_t>(count)) {
    t.fail(key, "has " + std::to_string(values.size()) + " values; expected one per channel (" +
                    std::to_string(count) + ")");
  }
  return {values.begin(), values.end()};
}

bool is_sha256(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::vector<PartTime> read_part_times(TomlTable& device, std::string_view key, int blocks) {
  const std::size_t count = static_cast<std::size_t>(blocks);
  TomlTable t = device.table(key);
  const auto p50 = t.durations("p50", Duration{1}, count);
  const auto p99 = t.durations("p99", Duration{1}, count);
  const auto max = t.durations("max", Duration{1}, count);
  t.close();
  if (p50.size() != count || p99.size() != count || max.size() != count) {
    device.fail(key, "p50, p99 and max must have one duration per block (" + std::to_string(count) + ")");
    return {};
  }
  std::vector<PartTime> out;
  for (std::size_t b = 0; b < count; ++b) {
    if (p50[b] > p99[b] || p99[b] > max[b]) {
      device.fail(key, "block " + std::to_string(b) + " must have p50 <= p99 <= max");
    }
    out.push_back({p50[b], p99[b], max[b]});
  }
  return out;
}

// A TOML basic string.
std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04X", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += code;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

template <class T, class Format>
std::string list(const std::vector<T>& values, Format&& format) {
  std::string out = "[";
  for (const T& value : values) out += (out.size() > 1 ? ", " : "") + format(value);
  return out + "]";
}

std::string float_list(const std::vector<float>& values) {
  return list(values, [](float v) {
    char text[32];
    std::snprintf(text, sizeof text, "%.9g", static_cast<double>(v));
    return std::string(text);
  });
}

std::string part_times(const std::vector<PartTime>& times) {
  const auto column = [&](Duration PartTime::*member) {
    return list(times, [&](const PartTime& t) { return toml_string(format_duration(t.*member)); });
  };
  return "p50 = " + column(&PartTime::p50) + "\np99 = " + column(&PartTime::p99) +
         "\nmax = " + column(&PartTime::max) + "\n";
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  return list(shape, [](std::int64_t n) { return std::to_string(n); });
}

template <class T>
std::string_view bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

template <class T>
std::vector<T> values_of(std::string_view bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

Result<CsProfile> read_cs_profile(std::string_view bytes, int blocks) {
  const auto tensors = read_safetensors(bytes);
  if (!tensors) return tensors.error();
  const auto confidence = tensors->find("confidence");
  const auto correct = tensors->find("correct");
  if (confidence == tensors->end() || correct == tensors->end() || tensors->size() != 2) {
    return error("must hold exactly the tensors \"confidence\" and \"correct\"");
  }
  const std::vector<std::int64_t>& shape = confidence->second.shape;
  if (confidence->second.dtype != "F32" || correct->second.dtype != "U8" || shape != correct->second.shape ||
      shape.size() != 2 || shape[1] != blocks) {
    return error("\"confidence\" must be F32 and \"correct\" U8, both [samples, " + std::to_string(blocks) +
                 "]");
  }
  if (shape[0] < 1 || shape[0] > PackageLimits::kSamples) {
    return error("has " + std::to_string(shape[0]) + " samples; allowed are 1 to " +
                 std::to_string(PackageLimits::kSamples));
  }
  CsProfile profile;
  profile.samples = static_cast<int>(shape[0]);
  profile.exits = blocks;
  profile.confidence = values_of<float>(confidence->second.bytes);
  profile.correct = values_of<std::uint8_t>(correct->second.bytes);
  const auto is_confidence = [](float c) { return c >= 0 && c <= 1; };
  if (!std::all_of(profile.confidence.begin(), profile.confidence.end(), is_confidence)) {
    return error("a confidence is not a number from 0 to 1");
  }
  if (std::any_of(profile.correct.begin(), profile.correct.end(), [](std::uint8_t c) { return c > 1; })) {
    return error("\"correct\" holds a value other than 0 and 1");
  }
  return profile;
}

Result<Weights> read_weights(std::string_view bytes, const Program& program) {
  const auto tensors = read_safetensors(bytes);
  if (!tensors) return tensors.error();
  Weights weights;
  for (const auto& [name, shape] : program.tensors()) {
    const auto found = tensors->find(name);
    if (found == tensors->end()) return error("the tensor \"" + name + "\" is missing");
    if (found->second.dtype != "F32" || found->second.shape != shape) {
      return error("the tensor \"" + name + "\" is " + std::string(found->second.dtype) + " " +
                   shape_text(found->second.shape) + "; the program needs F32 " + shape_text(shape));
    }
    Tensor tensor{shape, values_of<float>(found->second.bytes)};
    if (!std::all_of(tensor.values.begin(), tensor.values.end(), [](float v) { return std::isfinite(v); })) {
      return error("the tensor \"" + name + "\" holds a value that is not finite");
    }
    weights.emplace(name, std::move(tensor));
  }
  if (tensors->size() != weights.size()) {
    const auto extra = std::find_if(tensors->begin(), tensors->end(),
                                    [&](const auto& entry) { return !weights.contains(entry.first); });
    return error("the tensor \"" + escape(extra->first, 60) + "\" is used by no operation");
  }
  return weights;
}

}  // namespace

Result<ModelFile> parse_model_file(std::string_view text, std::string file) {
  TomlDocument doc(text, std::move(file));
  TomlTable root = doc.root();
  ModelFile m;
  root.integer("format", 1, 1);
  m.name = read_name(root, "name");
  m.version = read_name(root, "version");
  m.input = read_input(root);
  m.classes = static_cast<int>(root.integer("classes", 1, PackageLimits::kClasses));
  m.blocks = static_cast<int>(root.integer("blocks", 1, kMaxBlocks));
  m.labels = root.texts("labels", PackageLimits::kClasses);
  if (!m.labels.empty() && m.labels.size() != static_cast<std::size_t>(m.classes)) {
    root.fail("labels", "has " + std::to_string(m.labels.size()) + " entries; expected one per class (" +
                            std::to_string(m.classes) + ") or none");
  }
  if (std::any_of(m.labels.begin(), m.labels.end(),
                  [](const std::string& l) { return l.size() > PackageLimits::kText; })) {
    root.fail("labels", "has an entry of more than " + std::to_string(PackageLimits::kText) + " bytes");
  }
  TomlTable normalisation = root.table("normalisation");
  m.normalisation.mean = read_floats(normalisation, "mean", -1e6, m.input.channels, 0);
  m.normalisation.deviation = read_floats(normalisation, "deviation", 1e-6, m.input.channels, 1);
  normalisation.close();
  TomlTable files = root.table("files");
  for (const std::string_view name : kFiles) {
    const bool optional = name != kProgramFile && name != kWeightsFile;
    const std::string sum = optional ? files.text(name, "") : files.text(name);
    if (sum.empty() && !files.has(name)) continue;
    if (!is_sha256(sum)) files.fail(name, "expected the file's SHA-256, 64 lower-case hexadecimal digits");
    m.checksums.emplace(name, sum);
  }
  files.close();
  root.close();
  if (auto ok = doc.finish(); !ok) return ok.error();
  return m;
}

std::string format_model_file(const ModelFile& m) {
  std::string out = "# A model package of einetd; the format is in docs/packages.md.\nformat = 1\n";
  out += "name = " + toml_string(m.name) + "\nversion = " + toml_string(m.version) + "\n";
  out += "input = " + format_shape(m.input) + "\n";
  out += "classes = " + std::to_string(m.classes) + "\nblocks = " + std::to_string(m.blocks) + "\n";
  if (!m.labels.empty()) {
    out += "labels = " + list(m.labels, [](const std::string& l) { return toml_string(l); }) + "\n";
  }
  out += "\n[normalisation]  # x = (v - mean) / deviation; v is a byte / 255, or a float\n";
  out += "mean = " + float_list(m.normalisation.mean) + "\n";
  out += "deviation = " + float_list(m.normalisation.deviation) + "\n\n[files]  # SHA-256\n";
  for (const auto& [name, sum] : m.checksums) out += toml_string(name) + " = " + toml_string(sum) + "\n";
  return out;
}

Result<std::vector<EtProfile>> parse_et_profile(std::string_view text, std::string file, int blocks) {
  TomlDocument doc(text, std::move(file));
  TomlTable root = doc.root();
  std::vector<EtProfile> profiles;
  std::vector<TomlTable> tables = root.tables("device");
  root.close();
  if (tables.size() > PackageLimits::kProfiles) {
    root.fail("device", "found " + std::to_string(tables.size()) + " devices; at most " +
                            std::to_string(PackageLimits::kProfiles) + " are allowed");
    tables.clear();
  }
  for (TomlTable& t : tables) {
    EtProfile p;
    p.device = read_name(t, "kind");
    if (std::any_of(profiles.begin(), profiles.end(),
                    [&](const EtProfile& q) { return q.device == p.device; })) {
      t.fail("kind", "\"" + escape(p.device, 60) + "\" is there twice");
    }
    p.machine = read_words(t, "machine");
    p.method = read_words(t, "method");
    p.trunk = read_part_times(t, "trunk", blocks);
    p.exit = read_part_times(t, "exit", blocks);
    t.close();
    profiles.push_back(std::move(p));
  }
  if (auto ok = doc.finish(); !ok) return ok.error();
  return profiles;
}

std::string format_et_profile(const std::vector<EtProfile>& profiles) {
  std::string out = "# Measured times per block: trunk, and exit where it is executed.\n";
  for (const EtProfile& p : profiles) {
    out += "\n[[device]]\nkind = " + toml_string(p.device) + "\nmachine = " + toml_string(p.machine) +
           "\nmethod = " + toml_string(p.method) + "\n[device.trunk]\n" + part_times(p.trunk) +
           "[device.exit]\n" + part_times(p.exit);
  }
  return out;
}

Result<CsProfile> parse_cs_profile(std::string_view bytes, std::string_view file, int blocks) {
  auto profile = read_cs_profile(bytes, blocks);
  if (!profile) return within(file, profile.error());
  return profile;
}

std::string format_cs_profile(const CsProfile& p) {
  const std::vector<std::int64_t> shape = {p.samples, p.exits};
  return write_safetensors({{"confidence", {"F32", shape, bytes_of(p.confidence)}},
                            {"correct", {"U8", shape, bytes_of(p.correct)}}});
}

Result<Weights> parse_weights(std::string_view bytes, std::string_view file, const Program& program) {
  auto weights = read_weights(bytes, program);
  if (!weights) return within(file, weights.error());
  return weights;
}

std::string format_weights(const Weights& weights) {
  std::map<std::string, TensorView> tensors;
  for (const auto& [name, tensor] : weights) {
    tensors.emplace(name, TensorView{"F32", tensor.shape, bytes_of(tensor.values)});
  }
  return write_safetensors(tensors);
}

std::string sha256(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  const int ok = EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
  EINET_CHECK(ok == 1 && size == 32, "libcrypto computes SHA-256");
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    hex += kDigits[digest[i] >> 4];
    hex += kDigits[digest[i] & 15];
  }
  return hex;
}

}  // namespace einet
