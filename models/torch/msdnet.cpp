// MSDNet: Huang, Chen, Li, Wu, van der Maaten, Weinberger, "Multi-Scale Dense Networks for Resource Efficient
// Image Classification" (ICLR 2018), section 4 and appendix A, in its CIFAR form: three scales; the first
// layer has 16, 32 and 64 channels, every later one adds 6, 12 and 24 (bottlenecks of 1, 2 and 4 times that),
// for a coarser scale half from the finer one by a strided convolution; after each third of the layers the
// finest scale is dropped and a 1x1 transition halves the channels. An exit reads the coarsest scale: two
// strided 3x3 convolutions of 128 channels, a mean, one FC. 21 and 40 exits (EINet, ICDCS 2023, "MSDNet21"
// and "MSDNet40"): four layers before the first, one before each later.
#include <algorithm>
#include <cmath>

#include "models/torch/layers.h"
#include "models/torch/zoo.h"

namespace einet {
namespace {

constexpr int kScales = 3, kChannels = 16, kGrowth = 6, kFirstBlockLayers = 4, kExitChannels = 128;

// Of a scale, relative to the finest: channels, growth and bottleneck.
constexpr int factor(int scale) {
  return 1 << scale;
}

std::shared_ptr<ConvolutionLayer> unit(int in, int out, int kernel, int stride) {
  return std::make_shared<ConvolutionLayer>(in, out, kernel, stride, Norm::batch, Activation::relu);
}

// 1x1 to at most `factor * out` channels, then 3x3.
std::shared_ptr<Part> bottleneck(int in, int out, int scale, int stride) {
  const int inner = std::min(in, factor(scale) * out);
  return chain({unit(in, inner, 1, 1), unit(inner, out, 3, stride)});
}

// The image to all scales, each a strided convolution of the finer one.
class FirstLayer final : public Trunk {
 public:
  FirstLayer(int in, int channels) {
    for (int s = 0; s < kScales; ++s) {
      const int out = factor(s) * channels;
      scales_.push_back(register_module(std::to_string(s), unit(in, out, 3, s == 0 ? 1 : 2)));
      in = out;
    }
  }
  State advance(const State& state) override {
    State out;
    for (const auto& scale : scales_) out.push_back(scale->forward(out.empty() ? state.back() : out.back()));
    return out;
  }
  Registers lower_state(Lowering& to, const Registers& state, const std::string& name) const override {
    Registers out;
    for (std::size_t s = 0; s < scales_.size(); ++s) {
      out.push_back(
          scales_[s]->lower(to, out.empty() ? state.back() : out.back(), name + "." + std::to_string(s)));
    }
    return out;
  }

 private:
  std::vector<std::shared_ptr<Part>> scales_;
};

// Every scale from `first` on grows by new features of its own map and of the finer one. The input has a
// finer scale than `first` in front where one is dropped here.
class DenseLayer final : public Trunk {
 public:
  // `channels` and `growth` are the finest scale's.
  DenseLayer(int channels, int growth, int first_in, int first) : dropped_(first - first_in) {
    for (int s = first; s < kScales; ++s) {
      const int in = factor(s) * channels, grown = factor(s) * growth;
      Growth g;
      const std::string name = std::to_string(s);
      const bool finer = s > first_in;
      if (finer) {
        g.down = register_module(name + "down", bottleneck(in / 2, grown / 2, s - 1, 2));
      }
      g.same = register_module(name + "same", bottleneck(in, finer ? grown / 2 : grown, s, 1));
      scales_.push_back(std::move(g));
    }
  }
  State advance(const State& state) override {
    State out;
    for (std::size_t i = 0; i < scales_.size(); ++i) {
      const std::size_t own = i + static_cast<std::size_t>(dropped_);
      State parts = {state[own]};
      if (scales_[i].down) parts.push_back(scales_[i].down->forward(state[own - 1]));
      parts.push_back(scales_[i].same->forward(state[own]));
      out.push_back(torch::cat(parts, 1));
    }
    return out;
  }
  Registers lower_state(Lowering& to, const Registers& state, const std::string& name) const override {
    Registers out;
    for (std::size_t i = 0; i < scales_.size(); ++i) {
      const std::size_t own = i + static_cast<std::size_t>(dropped_);
      const std::string here = name + "." + std::to_string(i);
      Registers parts = {state[own]};
      if (scales_[i].down) parts.push_back(scales_[i].down->lower(to, state[own - 1], here + ".down"));
      parts.push_back(scales_[i].same->lower(to, state[own], here + ".same"));
      out.push_back(to.builder().add(Concatenation{}, parts));
    }
    return out;
  }

 private:
  struct Growth {
    std::shared_ptr<Part> down, same;  // no `down` for the finest scale of the input
  };
  int dropped_;
  std::vector<Growth> scales_;
};

// Every scale through a part of its own.
class Transition final : public Trunk {
 public:
  Transition(int in, int out, int first) {
    for (int s = first; s < kScales; ++s) {
      scales_.push_back(register_module(std::to_string(s), unit(factor(s) * in, factor(s) * out, 1, 1)));
    }
  }
  State advance(const State& state) override {
    State out;
    for (std::size_t i = 0; i < scales_.size(); ++i) out.push_back(scales_[i]->forward(state[i]));
    return out;
  }
  Registers lower_state(Lowering& to, const Registers& state, const std::string& name) const override {
    Registers out;
    for (std::size_t i = 0; i < scales_.size(); ++i) {
      out.push_back(scales_[i]->lower(to, state[i], name + "." + std::to_string(i)));
    }
    return out;
  }

 private:
  std::vector<std::shared_ptr<Part>> scales_;
};

std::shared_ptr<Part> exit_of(int in, int side, int channels, int classes) {
  const int left = ((side + 1) / 2 + 1) / 2;
  return chain({unit(in, channels, 3, 2), unit(channels, channels, 3, 2),
                std::make_shared<AveragePoolLayer>(left, left), std::make_shared<FlattenLayer>(),
                linear(channels, classes, Activation::none)});
}

std::shared_ptr<Network> make_msdnet(const NetworkOptions& o, int exits) {
  auto network = std::make_shared<Network>(o.name, o.input, o.classes);
  const int layers = kFirstBlockLayers + exits - 1;
  const int third = (layers + kScales - 1) / kScales;
  const int growth = std::max(2, static_cast<int>(std::lround(kGrowth * o.width)));
  int channels = static_cast<int>(std::lround(kChannels * o.width));
  int side = o.input.height;
  for (int s = 1; s < kScales; ++s) side = (side + 1) / 2;
  int layer = 0;
  for (int b = 0; b < exits; ++b) {
    std::vector<std::shared_ptr<Trunk>> trunk;
    if (b == 0) trunk.push_back(std::make_shared<FirstLayer>(o.input.channels, channels));
    for (int i = 0; i < (b == 0 ? kFirstBlockLayers : 1); ++i, ++layer) {
      const int first_in = std::max(0, layer - 1) / third, first = layer / third;
      trunk.push_back(std::make_shared<DenseLayer>(channels, growth, first_in, first));
      channels += growth;
      if (first > first_in) {
        trunk.push_back(std::make_shared<Transition>(channels, channels / 2, first));
        channels /= 2;
      }
    }
    network->add(join(std::move(trunk)),
                 exit_of(factor(kScales - 1) * channels, side, o.narrowed(kExitChannels), o.classes));
  }
  return network;
}

}  // namespace

std::shared_ptr<Network> make_msdnet_21(const NetworkOptions& o) {
  return make_msdnet(o, 21);
}

std::shared_ptr<Network> make_msdnet_40(const NetworkOptions& o) {
  return make_msdnet(o, 40);
}

}  // namespace einet
