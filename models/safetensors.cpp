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
constexpr std::array<Dtype, 4> kDtypes = {Dtype{"F32", 4}, Dtype{"F16", 2}, Dtype{"U16", 2}, Dtype{"U8", 1}};
constexpr std::uint64_t kLength = 8;  // of the length in front of the header
constexpr std::string_view kMetadata = "__metadata__";

const Dtype* find_dtype(std::string_view name) {
  const auto found =
      std::find_if(kDtypes.begin(), kDtypes.end(), [&](const Dtype& d) { return d.name == name; });
  return found == kDtypes.end() ? nullptr : &*found;
}

std::string quote(std::string_view text) {
  return "\"" + escape(text, 60) + "\"";
}

struct Entry {
  std::string dtype;
  std::vector<std::uint64_t> shape, offsets;
};

// The header as its parser sees it, piece by piece: an object of entries, checked while reading, so that a
// hostile header costs no more than a right one.
class HeaderReader final : public nlohmann::json_sax<Json> {
 public:
  std::map<std::string, Entry> entries;
  std::map<std::string, std::string> metadata;
  std::string problem = "the header is not a JSON object of tensors";

  bool key(std::string& name) override {
    if (depth_ == 1) {
      name_ = name;
      in_metadata_ = name == kMetadata;
      if (in_metadata_) return true;
      entry_ = {};
      seen_.clear();
      if (entries.contains(name)) return refuse("the tensor " + quote(name) + " is there twice");
      if (entries.size() == SafetensorsLimits::kTensors) {
        return refuse("the header has more than " + std::to_string(SafetensorsLimits::kTensors) + " tensors");
      }
      return true;
    }
    field_ = name;
    if (in_metadata_) {
      return !metadata.contains(name) || refuse("the metadata " + quote(name) + " is there twice");
    }
    if (field_ != "dtype" && field_ != "shape" && field_ != "data_offsets") {
      return refuse_entry("unknown key " + quote(field_) + "; expected dtype, shape and data_offsets");
    }
    if (seen_.find(field_) != std::string::npos) return refuse_entry(field_ + " is there twice");
    seen_ += field_ + " ";
    return true;
  }
  bool start_object(std::size_t) override {
    return ++depth_ <= 2;  // the header, an entry
  }
  bool end_object() override {
    if (--depth_ == 1 && !in_metadata_) {
      if (seen_.size() != std::string_view("dtype shape data_offsets ").size()) {
        return refuse_entry("dtype, shape or data_offsets is missing");
      }
      entries.emplace(name_, std::move(entry_));
    }
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ != 2 || in_metadata_ || in_list_ || field_ == "dtype") return false;
    return in_list_ = true;
  }
  bool end_array() override {
    in_list_ = false;
    if (field_ == "data_offsets" && entry_.offsets.size() != 2)
      return refuse_entry("data_offsets are not two numbers");
    return true;
  }
  bool number_unsigned(std::uint64_t n) override {
    if (!in_list_) return not_expected();
    if (n >= std::uint64_t{1} << 62) return refuse_entry(field_ + " holds a number that is not below 2^62");
    std::vector<std::uint64_t>& list = field_ == "shape" ? entry_.shape : entry_.offsets;
    if (list.size() == SafetensorsLimits::kRank) {
      return refuse_entry(field_ + " has more than " + std::to_string(SafetensorsLimits::kRank) + " numbers");
    }
    list.push_back(n);
    return true;
  }
  bool string(std::string& text) override {
    if (depth_ == 2 && in_metadata_) {
      metadata.emplace(field_, text);
      return true;
    }
    if (depth_ != 2 || in_list_ || field_ != "dtype") return not_expected();
    entry_.dtype = text;
    return true;
  }
  bool null() override { return not_expected(); }
  bool boolean(bool) override { return not_expected(); }
  bool number_integer(std::int64_t) override { return not_expected(); }
  bool number_float(double, const std::string&) override { return not_expected(); }
  bool binary(Json::binary_t&) override { return not_expected(); }
  bool parse_error(std::size_t, const std::string&, const Json::exception&) override { return false; }

 private:
  bool refuse(std::string what) {
    problem = std::move(what);
    return false;
  }
  bool refuse_entry(const std::string& what) { return refuse("tensor " + quote(name_) + ": " + what); }
  bool not_expected() {
    if (depth_ != 2 || in_metadata_) return false;
    return refuse_entry(field_ +
                        (field_ == "dtype" ? " is not a string" : " is not a list of whole numbers from 0"));
  }

  int depth_ = 0;
  std::string name_;  // of the entry being read
  Entry entry_;
  std::string seen_;  // its fields so far
  std::string field_;
  bool in_list_ = false;
  bool in_metadata_ = false;
};

Result<TensorView> read_entry(const Entry& entry, std::string_view data) {
  const Dtype* dtype = find_dtype(entry.dtype);
  if (dtype == nullptr) return error("dtype is " + quote(entry.dtype) + "; expected F32, F16, U16 or U8");
  const std::uint64_t begin = entry.offsets[0];
  const std::uint64_t end = entry.offsets[1];
  if (begin > end || end > data.size()) {
    return error("its bytes are " + std::to_string(begin) + " to " + std::to_string(end) +
                 ", but the file has " + std::to_string(data.size()) + " bytes of data");
  }
  TensorView tensor;
  tensor.dtype = dtype->name;
  std::uint64_t size = dtype->size;
  bool overflow = false;
  for (const std::uint64_t n : entry.shape) {
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

// Reads the header into `reader`; returns the data behind it.
Result<std::string_view> read_header(std::string_view file, HeaderReader& reader) {
  std::uint64_t length = 0;
  if (file.size() < kLength) return error("is cut short: no header");
  std::memcpy(&length, file.data(), kLength);
  if (length > SafetensorsLimits::kHeader) {
    return error("the header says it has " + std::to_string(length) + " bytes; at most " +
                 std::to_string(SafetensorsLimits::kHeader) + " are allowed");
  }
  if (length > file.size() - kLength) return error("is cut short: the header is not whole");
  const std::string_view header = file.substr(kLength, length);
  if (!Json::sax_parse(header.begin(), header.end(), &reader)) return error(reader.problem);
  return file.substr(kLength + length);
}

}  // namespace

Result<std::map<std::string, TensorView>> read_safetensors(std::string_view file) {
  HeaderReader reader;
  const auto data = read_header(file, reader);
  if (!data) return data.error();

  std::map<std::string, TensorView> tensors;
  for (const auto& [name, entry] : reader.entries) {
    auto tensor = read_entry(entry, *data);
    if (!tensor) return within("tensor " + quote(name), tensor.error());
    tensors.emplace(name, std::move(*tensor));
  }
  if (auto ok = check_no_holes(tensors, *data); !ok) return ok.error();
  return tensors;
}

Result<std::map<std::string, std::string>> read_safetensors_metadata(std::string_view file) {
  HeaderReader reader;
  if (const auto data = read_header(file, reader); !data) return data.error();
  return std::move(reader.metadata);
}

std::string write_safetensors(const std::map<std::string, TensorView>& tensors,
                              const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header[std::string(kMetadata)] = metadata;
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
