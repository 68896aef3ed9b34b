// A predictor's file: in a package ("predictor"), or beside a NAME.profiles. A safetensors file that says for
// which network it was trained; docs/packages.md is the format. What the numbers mean is in
// planner/predictor.h.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "config/bytes.h"
#include "config/result.h"
#include "planner/predictor.h"

namespace einet {

inline constexpr ByteCount kPredictorFileLimit{4u << 20};

// What a predictor belongs to. One that was trained for anything else is refused.
struct PredictorOwner {
  std::string network;  // in a package the SHA-256 of its weights; beside profiles "NETWORK on DATA"
  int classes = 0;
  int exits = 0;
};

// `file` is only used in messages: every error begins with it.
Result<PredictorParameters> parse_predictor(std::string_view bytes, std::string_view file,
                                            const PredictorOwner&);
// Precondition: check(parameters), for an owner of as many classes and exits.
std::string format_predictor(const PredictorParameters&, std::string_view network);

// The same with files. Writing is all or nothing (write_file).
Result<PredictorParameters> read_predictor(const std::filesystem::path&, const PredictorOwner&);
Result<void> write_predictor(const std::filesystem::path&, const PredictorParameters&,
                             std::string_view network);

}  // namespace einet
