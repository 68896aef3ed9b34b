#include "models/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include <nlohmann/json.hpp>

#include "config/text.h"

namespace einet {
namespace {

static_assert(std::endian::native == std::endian::little,
              "safetensors are little-endian; so are its readers here");

using Json = nlohmann::json;

struct Dtype {
  std::string_view name;
  std::uint64_t size;
};
constexpr std::array<Dtype, 2> kDtypes = {Dtype{"F32", 4}, Dtype{"U8", 1}};
constexpr std::uint64_t kLength = 8;  // of the length in front of the header

const Dtype* find_dtype(std::string_view name) {
  const auto found =
      std::find_if(kDtypes.begin(), kDtypes.end(), [&](const Dtype& d) { return d.name == name; });
  return found == kDtypes.end() ? nullptr : &*found;
}

std::string quote(std::string_view text) {
  return "\"" + escape(text, 60) + "\"";
}

// The header as JSON: an object of small objects. Deeper nesting and repeated names are refused while
// parsing.
Result<Json> parse_header(std::string_view text) {
  bool too_deep = false;
  std::string repeated;
  std::vector<std::string> names;
  const auto listen = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::key && depth == 1) {
      names.push_back(parsed.get<std::string>());
      if (names.size() > SafetensorsLimits::kTensors + 1) too_deep = true;
    }
    const bool opens =
        event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    if (opens && depth > 2) too_deep = true;
    return !too_deep;
  };
  Json header = Json::parse(text.begin(), text.end(), listen, false);
  if (names.size() > SafetensorsLimits::kTensors + 1) {
    return error("the header has more than " + std::to_string(SafetensorsLimits::kTensors) + " tensors");
  }
  if (too_deep || !header.is_object()) return error("the header is not a JSON object of tensors");
  std::sort(names.begin(), names.end());
  if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end()) {
    return error("the tensor " + quote(*twice) + " is there twice");
  }
  return header;
}

// Whole numbers of a JSON list.
Result<std::vector<std::uint64_t>> numbers(const Json& entry, const char* key, std::size_t min,
                                           std::size_t max) {
  const auto found = entry.find(key);
  if (found == entry.end() || !found->is_array() || found->size() < min || found->size() > max) {
    return error(std::string(key) + " must be a list of " + std::to_string(min) +
                 (min == max ? "" : " to " + std::to_string(max)) + " whole numbers");
  }
  std::vector<std::uint64_t> out;
  for (const Json& number : *found) {
    if (!number.is_number_unsigned() || number.get<std::uint64_t>() >= std::uint64_t{1} << 62) {
      return error(std::string(key) + " must hold whole numbers from 0, below 2^62");
    }
    out.push_back(number.get<std::uint64_t>());
  }
  return out;
}

Result<TensorView> read_entry(const Json& entry, std::string_view data) {
  if (!entry.is_object()) return error("is not a JSON object");
  const auto dtype_found = entry.find("dtype");
  const Dtype* dtype = dtype_found != entry.end() && dtype_found->is_string()
                           ? find_dtype(dtype_found->get_ref<const std::string&>())
                           : nullptr;
  if (dtype == nullptr) {
    return error(
        "dtype is " +
        (dtype_found == entry.end() ? std::string("missing") : quote(dtype_found->dump(-1, ' ', true))) +
        "; expected F32 or U8");
  }
  const auto shape = numbers(entry, "shape", 0, SafetensorsLimits::kRank);
  if (!shape) return shape.error();
  const auto offsets = numbers(entry, "data_offsets", 2, 2);
  if (!offsets) return offsets.error();

  const std::uint64_t begin = (*offsets)[0];
  const std::uint64_t end = (*offsets)[1];
  if (begin > end || end > data.size()) {
    return error("its bytes are " + std::to_string(begin) + " to " + std::to_string(end) +
                 ", but the file has " + std::to_string(data.size()) + " bytes of data");
  }
  TensorView tensor;
  tensor.dtype = dtype->name;
  std::uint64_t size = dtype->size;
  bool overflow = false;
  for (const std::uint64_t n : *shape) {
    overflow = overflow || __builtin_mul_overflow(size, n, &size);
    tensor.shape.push_back(static_cast<std::int64_t>(n));
  }
  if (overflow) return error("the size of its shape overflows");
  if (size != end - begin) {
    return error("its shape needs " + std::to_string(size) + " bytes, but it has " +
                 std::to_string(end - begin));
  }
  tensor.bytes = data.substr(begin, size);
  return tensor;
}

// Every byte of the data belongs to exactly one tensor.
Result<void> check_no_holes(const std::map<std::string, TensorView>& tensors, std::string_view data) {
  std::vector<std::string_view> parts;
  for (const auto& [name, tensor] : tensors) {
    if (!tensor.bytes.empty()) parts.push_back(tensor.bytes);
  }
  std::sort(parts.begin(), parts.end(), [](auto a, auto b) { return a.data() < b.data(); });
  const char* at = data.data();
  for (const std::string_view part : parts) {
    if (part.data() != at) return error("the tensors' bytes overlap or leave holes");
    at = part.data() + part.size();
  }
  if (at != data.data() + data.size()) return error("there are bytes after the last tensor");
  return {};
}

}  // namespace

Result<std::map<std::string, TensorView>> read_safetensors(std::string_view file) {
  std::uint64_t length = 0;
  if (file.size() < kLength) return error("is cut short: no header");
  std::memcpy(&length, file.data(), kLength);
  if (length > SafetensorsLimits::kHeader) {
    return error("the header says it has " + std::to_string(length) + " bytes; at most " +
                 std::to_string(SafetensorsLimits::kHeader) + " are allowed");
  }
  if (length > file.size() - kLength) return error("is cut short: the header is not whole");
  const auto header = parse_header(file.substr(kLength, length));
  if (!header) return header.error();
  const std::string_view data = file.substr(kLength + length);

  std::map<std::string, TensorView> tensors;
  for (const auto& [name, entry] : header->items()) {
    if (name == "__metadata__") continue;
    auto tensor = read_entry(entry, data);
    if (!tensor) return within("tensor " + quote(name), tensor.error());
    tensors.emplace(name, std::move(*tensor));
  }
  if (auto ok = check_no_holes(tensors, data); !ok) return ok.error();
  return tensors;
}

std::string write_safetensors(const std::map<std::string, TensorView>& tensors) {
  Json header = Json::object();
  std::uint64_t end = 0;
  for (const auto& [name, tensor] : tensors) {
    const std::uint64_t begin = end;
    end += tensor.bytes.size();
    header[name] = {{"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {begin, end}}};
  }
  std::string text = header.dump();
  text.append((kLength - text.size() % kLength) % kLength, ' ');  // the data begins 8-byte aligned
  std::string file(kLength, '\0');
  const std::uint64_t length = text.size();
  std::memcpy(file.data(), &length, kLength);
  file.reserve(kLength + text.size() + end);
  file += text;
  for (const auto& [name, tensor] : tensors) file += tensor.bytes;
  return file;
}

}  // namespace einet
