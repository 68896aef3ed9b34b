// The bytes of a package's file "predictor"; docs/packages.md is the format. What the numbers mean is in
// planner/predictor.h. No file is opened here.
#pragma once

#include <string>
#include <string_view>

#include "config/bytes.h"
#include "config/result.h"
#include "planner/predictor.h"

namespace einet {

inline constexpr ByteCount kPredictorFileLimit{4u << 20};

// The network that a predictor was trained for. One of another network is refused.
struct PredictorOwner {
  std::string weights;  // their file's SHA-256
  int classes = 0;
  int exits = 0;
};

// `file` is only used in messages: every error begins with it.
Result<PredictorParameters> parse_predictor(std::string_view bytes, std::string_view file,
                                            const PredictorOwner&);
// Precondition: check(parameters), for an owner of as many classes and exits.
std::string format_predictor(const PredictorParameters&, std::string_view weights);

}  // namespace einet
