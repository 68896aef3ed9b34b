// IEEE 754 half precision (F16): numbers of 16 bits, as files hold them. Conversions only; arithmetic is done
// in float.
#pragma once

#include <bit>
#include <cstdint>

namespace einet {

// Exact. Infinities and NaNs stay what they are.
constexpr float float_of_half(std::uint16_t half) {
  constexpr std::uint32_t kInfinity = 0x7c00;
  const std::uint32_t sign = (half & 0x8000u) << 16;
  const std::uint32_t rest = half & 0x7fffu;
  // Scaling by 2^112 moves the exponent's bias, and gives subnormal numbers their leading 1.
  const std::uint32_t bits = rest >= kInfinity
                                 ? 0x7f800000u | (rest & 0x3ffu) << 13
                                 : std::bit_cast<std::uint32_t>(std::bit_cast<float>(rest << 13) * 0x1p112f);
  return std::bit_cast<float>(sign | bits);
}

// To the nearest half, ties to even; beyond 65504, infinity.
constexpr std::uint16_t half_of_float(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const std::uint32_t rest = bits & 0x7fffffffu;
  std::uint32_t half = 0;
  if (rest > 0x7f800000u) {
    half = 0x7e00;  // NaN
  } else if (rest >= 0x477ff000u) {
    half = 0x7c00;  // rounds to 65536 or more
  } else if (rest < 0x38800000u) {
    // Below 2^-14: at 0.5 a float's last bit is 2^-24, as a subnormal half's; the addition rounds.
    half = std::bit_cast<std::uint32_t>(std::bit_cast<float>(rest) + 0.5F) - 0x3f000000u;
  } else {
    half = (rest - 0x38000000u + 0xfffu + (rest >> 13 & 1u)) >> 13;
  }
  return static_cast<std::uint16_t>(sign | half);
}

}  // namespace einet
