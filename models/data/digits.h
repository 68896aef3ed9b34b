// A built-in set of drawn digits, so that the demo, the tests and the trainer work without any downloaded
// data. Each image is a glyph of strokes (several styles per digit) under an affine and a smooth random warp,
// drawn anti-aliased on 28 x 28, then made hard on purpose: pieces of other glyphs around it, an occluding
// bar, uneven light and noise. Easy images are settled by an early exit, hard ones need the late ones.
#pragma once

#include <cstdint>

#include "models/data/images.h"

namespace einet {

// The sets that `load_images("digits", …)` gives.
inline constexpr std::size_t kDigitsTrainImages = 24'000;
inline constexpr std::size_t kDigitsTestImages = 4'000;

// `count` images, labels 0 to 9 in turn. The same seed gives the same images on every machine with IEEE
// arithmetic; image i does not depend on `count`.
Images draw_digits(std::size_t count, std::uint64_t seed);

// The fixed train and test sets; they share no image.
Images digits(ImageSplit split);

}  // namespace einet
