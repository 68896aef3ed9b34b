// Inference, through Eigen: a sum of columns, of which most are skipped while few exits were executed.
#include "planner/predictor.h"

#include <algorithm>
#include <array>
#include <bit>
#include <string>

#include <Eigen/Core>

#include "config/check.h"
#include "planner/logit.h"

namespace einet {
namespace {

Error found_number(const std::string& place, std::size_t found, std::size_t expected) {
  return error(place + ": found " + std::to_string(found) + " numbers; expected " + std::to_string(expected));
}

Result<void> check_range(const std::string& list, const std::vector<float>& values, float min, float max) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] >= min && values[i] <= max) continue;
    return error(list + "[" + std::to_string(i) + "]: found " + std::to_string(values[i]) +
                 "; expected a number from " + std::to_string(static_cast<int>(min)) + " to " +
                 std::to_string(static_cast<int>(max)));
  }
  return {};
}

Result<void> check(const PredictorParameters::Layer& layer, int inputs) {
  if (layer.inputs != inputs) {
    return error("found " + std::to_string(layer.inputs) + " inputs; expected " + std::to_string(inputs));
  }
  if (layer.outputs < 1 || layer.outputs > PredictorParameters::kMaxWidth) {
    return error("found " + std::to_string(layer.outputs) + " outputs; expected from 1 to " +
                 std::to_string(PredictorParameters::kMaxWidth));
  }
  const auto outputs = static_cast<std::size_t>(layer.outputs);
  if (layer.weight.size() != outputs * static_cast<std::size_t>(inputs)) {
    return found_number("weight", layer.weight.size(), outputs * static_cast<std::size_t>(inputs));
  }
  if (layer.bias.size() != outputs) return found_number("bias", layer.bias.size(), outputs);
  constexpr float kMax = PredictorParameters::kMaxWeight;
  if (auto ok = check_range("weight", layer.weight, -kMax, kMax); !ok) return ok;
  return check_range("bias", layer.bias, -kMax, kMax);
}

}  // namespace

Result<void> check(const PredictorParameters& p) {
  const int exits = p.exits();
  if (exits < 1 || exits > kMaxBlocks) {
    return error("calibration: found " + std::to_string(exits) + " exits; expected from 1 to " +
                 std::to_string(kMaxBlocks));
  }
  if (p.classes < 1) return error("classes: found " + std::to_string(p.classes) + "; expected at least 1");
  for (int k = 0; k < exits; ++k) {
    if (auto ok = check(p.calibration[static_cast<std::size_t>(k)]); !ok) {
      return within("calibration of exit " + std::to_string(k), ok.error());
    }
  }
  if (p.prior.size() != p.calibration.size())
    return found_number("prior", p.prior.size(), p.calibration.size());
  if (auto ok = check_range("prior", p.prior, 0, 1); !ok) return ok;
  if (p.layers.size() > PredictorParameters::kMaxLayers) {
    return error("layers: found " + std::to_string(p.layers.size()) + "; at most " +
                 std::to_string(PredictorParameters::kMaxLayers) + " are allowed");
  }
  int inputs = 2 * exits;
  for (std::size_t i = 0; i < p.layers.size(); ++i) {
    if (auto ok = check(p.layers[i], inputs); !ok) return within("layer " + std::to_string(i), ok.error());
    inputs = p.layers[i].outputs;
  }
  if (!p.layers.empty() && inputs != exits) {
    return error("the last layer: found " + std::to_string(inputs) + " outputs; expected one per exit, " +
                 std::to_string(exits));
  }
  if (p.aggregation == Aggregation::most_confident) {
    return error("aggregation: found \"most-confident\"; expected \"last\", \"product\" or \"discounted\"");
  }
  if (!(p.discount > 0 && p.discount <= 1)) {
    return error("discount: found " + std::to_string(p.discount) + "; expected a number above 0, at most 1");
  }
  if (!p.lookalikes) return {};
  if (p.lookalikes->exits() != exits) {
    return found_number("lookalikes", p.lookalikes->mean.size(), p.calibration.size());
  }
  if (auto ok = check(*p.lookalikes); !ok) return within("lookalikes", ok.error());
  return {};
}

struct Predictor::Impl {
  struct Layer {
    Eigen::MatrixXf weight;
    Eigen::VectorXf bias;
  };
  explicit Impl(PredictorParameters&& p) : parameters(std::move(p)) {
    for (const float accuracy : parameters.prior) prior.push_back(static_cast<float>(logit(accuracy)));
    using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    for (const PredictorParameters::Layer& l : parameters.layers) {
      layers.push_back({Eigen::Map<const RowMajor>(l.weight.data(), l.outputs, l.inputs),
                        Eigen::Map<const Eigen::VectorXf>(l.bias.data(), l.outputs)});
    }
  }

  PredictorParameters parameters;
  std::vector<float> prior;  // logits
  std::vector<Layer> layers;
};

Result<Predictor> Predictor::make(PredictorParameters parameters) {
  if (auto ok = check(parameters); !ok) return ok.error();
  return Predictor(std::make_shared<const Impl>(std::move(parameters)));
}

int Predictor::exits() const {
  return impl_->parameters.exits();
}

const PredictorParameters& Predictor::parameters() const {
  return impl_->parameters;
}

double Predictor::calibrated(int exit, std::span<const float> scores) const {
  EINET_CHECK(exit >= 0 && exit < exits(), "the predictor has this exit");
  const Calibration& calibration = impl_->parameters.calibration[static_cast<std::size_t>(exit)];
  return calibration(tempered_confidence(scores, impl_->parameters.classes, calibration.temperature));
}

double Predictor::temperature(int exit) const {
  return impl_->parameters.calibration[static_cast<std::size_t>(exit)].temperature;
}

double Predictor::predict(std::span<const double> calibrated, ExitMask executed,
                          std::span<double> accuracy) const {
  const auto n = static_cast<std::size_t>(exits());
  const auto after = static_cast<std::size_t>(std::bit_width(executed));  // the deepest executed exit
  EINET_CHECK(calibrated.size() == n && accuracy.size() == n && after <= n, "one entry per exit");
  if (executed == 0 || impl_->layers.empty()) {
    for (std::size_t k = after; k < n; ++k) accuracy[k] = impl_->parameters.prior[k];
    return executed == 0 ? 0 : calibrated[after - 1];
  }

  using Column = Eigen::Matrix<float, Eigen::Dynamic, 1, Eigen::ColMajor, PredictorParameters::kMaxWidth, 1>;
  Column in = Column::Zero(static_cast<Eigen::Index>(2 * n));
  for (ExitMask left = executed; left != 0; left &= left - 1) {
    const auto k = static_cast<std::size_t>(std::countr_zero(left));
    in[static_cast<Eigen::Index>(k)] = static_cast<float>(logit(calibrated[k])) - impl_->prior[k];
    in[static_cast<Eigen::Index>(n + k)] = 1;
  }
  const float surprise = in[static_cast<Eigen::Index>(after - 1)];
  for (const Impl::Layer& layer : impl_->layers) {
    Column out = layer.bias;
    for (Eigen::Index i = 0; i < in.size(); ++i) {
      if (in[i] != 0) out.noalias() += in[i] * layer.weight.col(i);
    }
    if (&layer != &impl_->layers.back()) out = out.cwiseMax(0.0F);
    in = out;
  }
  const auto expected = [&](std::size_t k) {
    return sigmoid(impl_->prior[k] + surprise + in[static_cast<Eigen::Index>(k)]);
  };
  for (std::size_t k = after; k < n; ++k) accuracy[k] = expected(k);
  return expected(after - 1);
}

}  // namespace einet
