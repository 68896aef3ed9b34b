#include "tools/einet/image.h"

#include <bit>
#include <cctype>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <png.h>

#include "config/text.h"

namespace einet::cli {
namespace {

static_assert(std::endian::native == std::endian::little, "arrays are little-endian, and so is the machine");

Result<void> check_size(std::uint64_t width, std::uint64_t height, std::uint64_t channels) {
  if (width >= 1 && height >= 1 && width <= kMaxSide && height <= kMaxSide &&
      width * height * channels <= kMaxElements) {
    return {};
  }
  return error("the image has " + std::to_string(width) + " x " + std::to_string(height) +
               " pixels; allowed are 1 to " + std::to_string(kMaxSide) + " on each side and " +
               std::to_string(kMaxElements >> 20) + " Mi values in all");
}

// Reads text from the left; every step says whether it was there.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  bool take(std::string_view word) {
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }
  void skip_space() {
    while (!text_.empty() && std::isspace(static_cast<unsigned char>(text_.front())) != 0)
      text_.remove_prefix(1);
  }
  std::optional<std::uint32_t> number() {
    std::uint32_t n = 0;
    const auto [end, code] = std::from_chars(text_.data(), text_.data() + text_.size(), n);
    if (code != std::errc{}) return std::nullopt;
    text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
    return n;
  }
  // What is before the next `stop`, which is taken too.
  std::optional<std::string_view> until(char stop) {
    const std::size_t end = text_.find(stop);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view before = text_.substr(0, end);
    text_.remove_prefix(end + 1);
    return before;
  }
  std::string_view rest() const { return text_; }

 private:
  std::string_view text_;
};

// White space and comments between the numbers of a PNM header.
void skip_pnm_space(Cursor& cursor) {
  cursor.skip_space();
  while (cursor.take("#")) {
    if (!cursor.until('\n')) return;
    cursor.skip_space();
  }
}

struct NpyHeader {
  std::optional<std::string> descr;
  std::optional<bool> fortran;
  std::optional<std::vector<std::uint32_t>> shape;
};

// "(1, 28, 28)", "(5,)" or "()".
std::optional<std::vector<std::uint32_t>> read_tuple(Cursor& cursor) {
  std::vector<std::uint32_t> out;
  if (!cursor.take("(")) return std::nullopt;
  while (true) {
    cursor.skip_space();
    if (cursor.take(")")) return out;
    const auto n = cursor.number();
    if (!n || out.size() == 8) return std::nullopt;
    out.push_back(*n);
    cursor.skip_space();
    if (cursor.take(",")) continue;
    if (!cursor.take(")")) return std::nullopt;
    return out;
  }
}

// The literal of a dictionary that numpy.save writes: {'descr': '|u1', 'fortran_order': False, 'shape': (2,
// 2), }
std::optional<NpyHeader> read_npy_header(std::string_view text) {
  NpyHeader header;
  Cursor cursor(text);
  if (!cursor.take("{")) return std::nullopt;
  while (true) {
    cursor.skip_space();
    if (cursor.take("}")) return header;
    if (!cursor.take("'")) return std::nullopt;
    const auto key = cursor.until('\'');
    if (!key || !cursor.take(":")) return std::nullopt;
    cursor.skip_space();
    if (*key == "descr" && !header.descr) {
      if (!cursor.take("'")) return std::nullopt;
      const auto descr = cursor.until('\'');
      if (!descr) return std::nullopt;
      header.descr = *descr;
    } else if (*key == "fortran_order" && !header.fortran) {
      const bool fortran = cursor.take("True");
      if (!fortran && !cursor.take("False")) return std::nullopt;
      header.fortran = fortran;
    } else if (*key == "shape" && !header.shape) {
      header.shape = read_tuple(cursor);
      if (!header.shape) return std::nullopt;
    } else {
      return std::nullopt;
    }
    cursor.skip_space();
    if (!cursor.take(",")) {
      cursor.skip_space();
      if (!cursor.take("}")) return std::nullopt;
      return header;
    }
  }
}

}  // namespace

Result<Image> decode_png(std::string_view bytes) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  const auto failed = [&png] {
    const std::string why = printable(png.message);
    png_image_free(&png);
    return error("not a PNG that can be read: " + why);
  };
  if (png_image_begin_read_from_memory(&png, bytes.data(), bytes.size()) == 0) return failed();
  const bool colour = (png.format & PNG_FORMAT_FLAG_COLOR) != 0;
  Image image;
  image.width = png.width;
  image.height = png.height;
  image.channels = colour ? 3 : 1;
  if (auto ok = check_size(image.width, image.height, image.channels); !ok) {
    png_image_free(&png);
    return ok.error();
  }
  png.format = colour ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  png.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;  // 16-bit files of today are not linear
  image.pixels.resize(std::size_t{image.width} * image.height * image.channels);
  const png_color black{};
  if (png_image_finish_read(&png, &black, image.pixels.data(), 0, nullptr) == 0) return failed();
  return image;
}

Result<Image> decode_pnm(std::string_view bytes) {
  Cursor cursor(bytes);
  Image image;
  if (cursor.take("P5")) {
    image.channels = 1;
  } else if (cursor.take("P6")) {
    image.channels = 3;
  } else {
    return error("not a binary PGM (P5) or PPM (P6)");
  }
  std::uint32_t most = 0;
  for (std::uint32_t* field : {&image.width, &image.height, &most}) {
    skip_pnm_space(cursor);
    const auto n = cursor.number();
    if (!n) return error("the PGM or PPM header has no width, height and largest value");
    *field = *n;
  }
  if (auto ok = check_size(image.width, image.height, image.channels); !ok) return ok.error();
  if (most < 1 || most > 255)
    return error("the largest value is " + std::to_string(most) + "; only 1 to 255 (8 bits) can be read");
  // One white space, then the pixels.
  std::string_view pixels = cursor.rest();
  const std::size_t wanted = std::size_t{image.width} * image.height * image.channels;
  if (pixels.size() < wanted + 1) {
    return error("the file ends early: " + std::to_string(wanted) + " bytes of pixels are announced, " +
                 std::to_string(pixels.empty() ? 0 : pixels.size() - 1) + " are there");
  }
  pixels = pixels.substr(1, wanted);
  image.pixels.reserve(wanted);
  for (char c : pixels) {
    const unsigned value = std::min<unsigned>(static_cast<unsigned char>(c), most);
    image.pixels.push_back(static_cast<std::uint8_t>((value * 255 + most / 2) / most));
  }
  return image;
}

Result<Array> decode_npy(std::string_view bytes) {
  constexpr std::string_view kMagic = "\x93NUMPY";
  Cursor cursor(bytes);
  if (!cursor.take(kMagic)) return error("not a .npy file");
  const auto byte_at = [&bytes](std::size_t i) { return std::size_t{static_cast<unsigned char>(bytes[i])}; };
  if (bytes.size() < 12) return error("the .npy header is cut off");
  const std::size_t version = byte_at(6);
  if (version < 1 || version > 3) return error(".npy format " + std::to_string(version) + " is unknown");
  const std::size_t start = version == 1 ? 10 : 12;
  std::size_t length = byte_at(8) | byte_at(9) << 8;
  if (version > 1) length |= byte_at(10) << 16 | byte_at(11) << 24;
  if (length > bytes.size() - start) return error("the .npy header is cut off");
  const auto header = read_npy_header(bytes.substr(start, length));
  if (!header || !header->descr || !header->fortran || !header->shape)
    return error("the .npy header is not one that numpy.save writes");

  Array array;
  std::size_t size = 1;
  if (*header->descr == "|u1") {
    array.dtype = wire::U8;
  } else if (*header->descr == "<f4") {
    array.dtype = wire::F32;
    size = 4;
  } else {
    return error("the array's type is \"" + escape(*header->descr, 20) +
                 "\"; allowed are uint8 and float32: save it with array.astype(numpy.float32)");
  }
  if (*header->fortran)
    return error("the array is column-major; save it with numpy.ascontiguousarray(array)");
  array.shape = *header->shape;
  std::size_t elements = 1;
  for (std::uint32_t d : array.shape) {
    if (d == 0 || elements > kMaxElements / d)
      return error("the array is empty or has more than " + std::to_string(kMaxElements >> 20) +
                   " Mi elements");
    elements *= d;
  }
  const std::string_view data = bytes.substr(start + length);
  if (data.size() != elements * size) {
    return error("the shape announces " + std::to_string(elements * size) + " bytes; the file has " +
                 std::to_string(data.size()));
  }
  array.bytes.resize(data.size());
  std::memcpy(array.bytes.data(), data.data(), data.size());
  return array;
}

}  // namespace einet::cli
