#include "models/predictor_file.h"

#include <cstring>
#include <map>

#include "config/text.h"
#include "models/safetensors.h"

namespace einet {
namespace {

constexpr std::string_view kFormat = "2";
constexpr std::string_view kLookalikesMean = "lookalikes.mean";

using Tensors = std::map<std::string, TensorView>;
using Metadata = std::map<std::string, std::string>;

std::string exit_name(int exit) {
  return "exit" + std::to_string(exit);
}
std::string lookalikes_name(std::size_t exit) {
  return exit_name(static_cast<int>(exit)) + ".lookalikes";
}
std::string layer_name(std::size_t layer) {
  return "layer" + std::to_string(layer);
}

// Takes the tensor out of `tensors`. `rank`: how many dimensions it must have.
Result<TensorView> take(Tensors& tensors, const std::string& name, std::size_t rank) {
  auto found = tensors.extract(name);
  if (found.empty()) return error("the tensor \"" + name + "\" is missing");
  if (found.mapped().dtype != "F32" || found.mapped().shape.size() != rank) {
    return error("the tensor \"" + name + "\" must be F32 with " + std::to_string(rank) + " dimension" +
                 (rank == 1 ? "" : "s"));
  }
  return std::move(found.mapped());
}

std::vector<float> values_of(const TensorView& tensor) {
  std::vector<float> values(tensor.bytes.size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

Result<void> take_list(Tensors& tensors, const std::string& name, std::vector<float>& values) {
  const auto tensor = take(tensors, name, 1);
  if (!tensor) return tensor.error();
  values = values_of(*tensor);
  return {};
}

// One tensor per exit, a row per group: how sure it was, then its accuracies.
Result<LookalikeParameters> take_lookalikes(Tensors& tensors, std::size_t exits) {
  LookalikeParameters p;
  if (auto ok = take_list(tensors, std::string(kLookalikesMean), p.mean); !ok) return ok.error();
  for (std::size_t exit = 0; exit < exits; ++exit) {
    const auto tensor = take(tensors, lookalikes_name(exit), 2);
    if (!tensor) return tensor.error();
    const auto width = static_cast<std::int64_t>(exits - exit + 1);
    if (tensor->shape[1] != width) {
      return error("the tensor \"" + lookalikes_name(exit) + "\" must have " + std::to_string(width) +
                   " columns");
    }
    const std::vector<float> values = values_of(*tensor);
    auto& groups = p.groups.emplace_back();
    for (auto row = values.begin(); row != values.end(); row += width) {
      groups.push_back({row[0], {row + 1, row + width}});
    }
  }
  return p;
}

Result<void> take_one(Tensors& tensors, const std::string& name, float& value) {
  std::vector<float> values;
  if (auto ok = take_list(tensors, name, values); !ok) return ok;
  if (values.size() != 1) return error("the tensor \"" + name + "\" must have one value");
  value = values[0];
  return {};
}

Result<void> expect(const Metadata& metadata, const char* key, std::string_view expected,
                    const char* advice) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return error("the metadata \"" + std::string(key) + "\" is missing");
  if (found->second == expected) return {};
  return error(std::string(key) + ": found \"" + escape(found->second, 100) + "\"; expected \"" +
               escape(expected, 100) + "\"" + advice);
}

Result<PredictorParameters> read(std::string_view bytes, const PredictorOwner& owner) {
  const auto metadata = read_safetensors_metadata(bytes);
  if (!metadata) return metadata.error();
  constexpr const char* kTrain =
      ": it was trained for another network; train one with: einet-model predictor";
  if (auto ok = expect(*metadata, "format", kFormat, ""); !ok) return ok.error();
  if (auto ok = expect(*metadata, "weights", owner.weights, kTrain); !ok) return ok.error();
  if (auto ok = expect(*metadata, "classes", std::to_string(owner.classes), kTrain); !ok) return ok.error();

  const auto said = metadata->find("aggregation");
  if (said == metadata->end()) return error("the metadata \"aggregation\" is missing");
  const auto aggregation = parse_aggregation(said->second);
  if (!aggregation) return aggregation.error();

  auto tensors = read_safetensors(bytes);
  if (!tensors) return tensors.error();
  PredictorParameters p;
  p.aggregation = *aggregation;
  if (auto ok = take_one(*tensors, "discount", p.discount); !ok) return ok.error();
  p.classes = owner.classes;
  std::vector<float> temperature;
  if (auto ok = take_list(*tensors, "prior", p.prior); !ok) return ok.error();
  if (auto ok = take_list(*tensors, "temperature", temperature); !ok) return ok.error();
  const auto exits = static_cast<std::size_t>(owner.exits);
  if (p.prior.size() != exits || temperature.size() != exits) {
    return error("\"prior\" and \"temperature\" must have one value per exit, " + std::to_string(exits));
  }
  for (int k = 0; k < owner.exits; ++k) {
    Calibration c;
    c.temperature = temperature[static_cast<std::size_t>(k)];
    if (auto ok = take_list(*tensors, exit_name(k) + ".confidence", c.confidence); !ok) return ok.error();
    if (auto ok = take_list(*tensors, exit_name(k) + ".accuracy", c.accuracy); !ok) return ok.error();
    p.calibration.push_back(std::move(c));
  }
  if (tensors->contains(std::string(kLookalikesMean))) {
    auto lookalikes = take_lookalikes(*tensors, exits);
    if (!lookalikes) return lookalikes.error();
    p.lookalikes = std::move(*lookalikes);
  }
  while (!tensors->empty() && p.layers.size() < PredictorParameters::kMaxLayers) {
    const std::string name = layer_name(p.layers.size());
    const auto weight = take(*tensors, name + ".weight", 2);
    if (!weight) return weight.error();
    PredictorParameters::Layer layer;
    for (const std::int64_t n : weight->shape) {
      if (n < 1 || n > PredictorParameters::kMaxWidth) {
        return error("the tensor \"" + name + ".weight\" must have 1 to " +
                     std::to_string(PredictorParameters::kMaxWidth) + " rows and columns");
      }
    }
    layer.outputs = static_cast<int>(weight->shape[0]);
    layer.inputs = static_cast<int>(weight->shape[1]);
    layer.weight = values_of(*weight);
    if (auto ok = take_list(*tensors, name + ".bias", layer.bias); !ok) return ok.error();
    p.layers.push_back(std::move(layer));
  }
  if (!tensors->empty()) {
    return error("the tensor \"" + escape(tensors->begin()->first, 60) + "\" is not a predictor's");
  }
  if (auto ok = check(p); !ok) return ok.error();
  return p;
}

}  // namespace

Result<PredictorParameters> parse_predictor(std::string_view bytes, std::string_view file,
                                            const PredictorOwner& owner) {
  auto parameters = read(bytes, owner);
  if (!parameters) return within(file, parameters.error());
  return parameters;
}

std::string format_predictor(const PredictorParameters& p, std::string_view weights) {
  Tensors tensors;
  const auto add = [&](const std::string& name, std::vector<std::int64_t> shape,
                       const std::vector<float>& values) {
    tensors[name] = {
        "F32", std::move(shape), {reinterpret_cast<const char*>(values.data()), values.size() * 4}};
  };
  const auto add_list = [&](const std::string& name, const std::vector<float>& values) {
    add(name, {static_cast<std::int64_t>(values.size())}, values);
  };
  add_list("prior", p.prior);
  std::vector<float> temperature;
  for (int k = 0; k < p.exits(); ++k) {
    const Calibration& c = p.calibration[static_cast<std::size_t>(k)];
    temperature.push_back(c.temperature);
    add_list(exit_name(k) + ".confidence", c.confidence);
    add_list(exit_name(k) + ".accuracy", c.accuracy);
  }
  add_list("temperature", temperature);
  const std::vector<float> discount{p.discount};
  add_list("discount", discount);
  for (std::size_t i = 0; i < p.layers.size(); ++i) {
    const PredictorParameters::Layer& layer = p.layers[i];
    add(layer_name(i) + ".weight", {layer.outputs, layer.inputs}, layer.weight);
    add_list(layer_name(i) + ".bias", layer.bias);
  }
  // Kept until the tensors are written: they only refer to it.
  std::vector<std::vector<float>> tables;
  if (p.lookalikes) {
    add_list(std::string(kLookalikesMean), p.lookalikes->mean);
    for (const auto& groups : p.lookalikes->groups) {
      std::vector<float>& table = tables.emplace_back();
      for (const LookalikeParameters::Group& group : groups) {
        table.push_back(group.held);
        table.insert(table.end(), group.accuracy.begin(), group.accuracy.end());
      }
    }
  }
  for (std::size_t exit = 0; exit < tables.size(); ++exit) {
    const auto rows = static_cast<std::int64_t>(p.lookalikes->groups[exit].size());
    const std::int64_t columns = p.exits() - static_cast<std::int64_t>(exit) + 1;
    add(lookalikes_name(exit),
        {rows, rows == 0 ? columns : static_cast<std::int64_t>(tables[exit].size()) / rows}, tables[exit]);
  }
  return write_safetensors(tensors, {{"format", std::string(kFormat)},
                                     {"aggregation", std::string(name(p.aggregation))},
                                     {"weights", std::string(weights)},
                                     {"classes", std::to_string(p.classes)}});
}

}  // namespace einet
