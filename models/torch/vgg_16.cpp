// VGG-16: Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (ICLR
// 2015), configuration D, as it is used on 32 x 32 images: batch norm after every convolution (Ioffe,
// Szegedy, ICML 2015) and one hidden FC of 512 instead of two of 4096, since the last map is 1 x 1.
//
// vgg-16 has an exit after each of the 13 convolutions and the classifier as its 14th; flex-vgg-16 one exit
// per pooling stage, the fifth of which is the classifier: the cuts of the EINet paper (ICDCS 2023, "VGG-16"
// and "FlexVGG-16"). A side branch is one convolution and two FC.
#include <array>

#include "models/torch/layers.h"
#include "models/torch/zoo.h"

namespace einet {
namespace {

using std::make_shared;

struct VggStage {
  int convolutions, channels;
};
constexpr std::array<VggStage, 5> kStages = {{{2, 64}, {2, 128}, {3, 256}, {3, 512}, {3, 512}}};
constexpr int kHidden = 512;

std::shared_ptr<Part> pool() {
  return make_shared<MaxPoolLayer>(2, 2, 0);
}

std::shared_ptr<Part> side_branch(const NetworkOptions& o, int channels, int side) {
  return branch(channels, side, o.narrowed(kBranchChannels), o.narrowed(kBranchHidden), o.classes);
}

std::shared_ptr<Part> classifier(const NetworkOptions& o, int channels, int side) {
  const int hidden = o.narrowed(kHidden);
  return chain({make_shared<FlattenLayer>(), linear(channels * side * side, hidden, Activation::relu),
                linear(hidden, o.classes, Activation::none)});
}

}  // namespace

std::shared_ptr<Network> make_vgg_16(const NetworkOptions& o) {
  auto network = make_shared<Network>(o.name, o.input, o.classes);
  int in = o.input.channels, side = o.input.height;
  for (std::size_t s = 0; s < kStages.size(); ++s) {
    const int out = o.narrowed(kStages[s].channels);
    for (int c = 0; c < kStages[s].convolutions; ++c) {
      Parts trunk;
      if (s > 0 && c == 0) {
        trunk.push_back(pool());
        side /= 2;
      }
      trunk.push_back(convolution(in, out, 3, 1, Norm::batch));
      network->add(chain(std::move(trunk)), side_branch(o, out, side));
      in = out;
    }
  }
  network->add(pool(), classifier(o, in, side / 2));
  return network;
}

std::shared_ptr<Network> make_flex_vgg_16(const NetworkOptions& o) {
  auto network = make_shared<Network>(o.name, o.input, o.classes);
  int in = o.input.channels, side = o.input.height;
  for (std::size_t s = 0; s < kStages.size(); ++s) {
    const int out = o.narrowed(kStages[s].channels);
    Parts trunk;
    for (int c = 0; c < kStages[s].convolutions; ++c) {
      trunk.push_back(convolution(in, out, 3, 1, Norm::batch));
      in = out;
    }
    trunk.push_back(pool());
    side /= 2;
    const bool last = s + 1 == kStages.size();
    network->add(chain(std::move(trunk)), last ? classifier(o, out, side) : side_branch(o, out, side));
  }
  return network;
}

}  // namespace einet
