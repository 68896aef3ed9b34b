// model.toml, et.profile and predictor on foreign bytes: what their readers accept, they write and read back
// the same.
#include <array>
#include <cstdlib>

#include "models/package_files.h"
#include "models/predictor_file.h"

namespace einet {
namespace {

bool same(const ModelFile& a, const ModelFile& b) {
  return a.name == b.name && a.version == b.version && a.input == b.input && a.classes == b.classes &&
         a.blocks == b.blocks && a.normalisation == b.normalisation && a.labels == b.labels &&
         a.checksums == b.checksums;
}

}  // namespace
}  // namespace einet

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace einet;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto model = parse_model_file(text, "model.toml")) {
    const auto again = parse_model_file(format_model_file(*model), "again");
    if (!again || !same(*again, *model)) std::abort();
  }
  if (const auto times = parse_et_profile(text, "et.profile", 2)) {
    const auto again = parse_et_profile(format_et_profile(*times), "again", 2);
    if (!again || *again != *times) std::abort();
  }
  const PredictorOwner owner{"x", 3, 2};  // of the seed
  if (const auto predictor = parse_predictor(text, "predictor", owner)) {
    const auto again = parse_predictor(format_predictor(*predictor, owner.weights), "again", owner);
    if (!again || *again != *predictor) std::abort();
    std::array<double, 2> accuracy{};
    Predictor::make(*predictor)->predict(std::array{0.25, 0.5}, 0b1, accuracy);
    if (!(accuracy[1] >= 0 && accuracy[1] <= 1)) std::abort();
  }
  return 0;
}
