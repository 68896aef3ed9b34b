// The files of a package as bytes, and their meaning: parsing and formatting without touching a file system,
// so that tests and fuzzers reach every reader. Used by models/package and, for the times, by
// models/profiles.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "models/package.h"

namespace einet {

inline constexpr std::string_view kModelFile = "model.toml";
inline constexpr std::string_view kProgramFile = "program";
inline constexpr std::string_view kWeightsFile = "weights.safetensors";
inline constexpr std::string_view kEtProfileFile = "et.profile";
inline constexpr std::string_view kCsProfileFile = "cs.profile";
inline constexpr std::string_view kPredictorFile = "predictor";  // models/predictor_file.h

// What model.toml says.
struct ModelFile {
  std::string name;
  std::string version;
  Shape input;
  int classes = 0;
  int blocks = 0;
  Normalisation normalisation;
  std::vector<std::string> labels;
  std::map<std::string, std::string, std::less<>> checksums;  // file -> SHA-256 in lower-case hex
};

// `file` is only used in messages: every error begins with it.
Result<ModelFile> parse_model_file(std::string_view text, std::string file);
Result<std::vector<EtProfile>> parse_et_profile(std::string_view text, std::string file, int blocks);
Result<CsProfile> parse_cs_profile(std::string_view bytes, std::string_view file, int blocks);
// Exactly the program's tensors, all values finite.
Result<Weights> parse_weights(std::string_view bytes, std::string_view file, const Program&);

std::string format_model_file(const ModelFile&);
std::string format_et_profile(const std::vector<EtProfile>&);
std::string format_cs_profile(const CsProfile&);
std::string format_weights(const Weights&);

// SHA-256 in lower-case hex.
std::string sha256(std::string_view bytes);

}  // namespace einet
