// Fine-ResNet: a residual network (He, Zhang, Ren, Sun: "Deep Residual Learning for Image Recognition", CVPR
// 2016) with an exit after every residual block, as shallow-deep networks have (Kaya, Hong, Dumitras:
// "Shallow-Deep Networks: Understanding and Mitigating Network Overthinking", ICML 2019). Ten blocks, the
// last four about half as long as the first six, each a small step in accuracy: fine enough to preempt and to
// plan. Exits are a convolution and two fully connected layers on a pooled map, small, so that executing one
// costs a fraction of its block.
#include "models/torch/layers.h"
#include "models/torch/zoo.h"

namespace einet {
namespace {

using std::make_shared;

constexpr int kFullSizeBlocks = 6;  // on the input's resolution, 32 channels
constexpr int kHalfSizeBlocks = 4;  // on half of it, 48 channels
constexpr int kFullSizeChannels = 32;
constexpr int kHalfSizeChannels = 48;

// Pools the map to about 7x7 and 3x3 around its convolution.
std::shared_ptr<Part> exit_of(int channels, int side, int classes) {
  constexpr int kMap = 7, kChannels = 16, kHidden = 32;
  const int first = side / kMap, left = side / first / 2;
  return chain({make_shared<MaxPoolLayer>(first, first, 0),
                convolution(channels, kChannels, 3, 1, Norm::batch), make_shared<MaxPoolLayer>(2, 2, 0),
                make_shared<FlattenLayer>(), linear(kChannels * left * left, kHidden, Activation::relu),
                linear(kHidden, classes, Activation::none)});
}

}  // namespace

std::shared_ptr<Network> make_fine_resnet(const NetworkOptions& o) {
  auto network = make_shared<Network>(o.name, o.input, o.classes);
  const int full = o.narrowed(kFullSizeChannels), half = o.narrowed(kHalfSizeChannels);
  int side = o.input.height;
  for (int i = 0; i < kFullSizeBlocks; ++i) {
    Parts trunk;
    if (i == 0) trunk.push_back(convolution(o.input.channels, full, 3, 1, Norm::batch));
    trunk.push_back(make_shared<ResidualLayer>(full, full, 1));
    network->add(chain(std::move(trunk)), exit_of(full, side, o.classes));
  }
  side /= 2;
  for (int i = 0; i < kHalfSizeBlocks; ++i) {
    network->add(make_shared<ResidualLayer>(i == 0 ? full : half, half, i == 0 ? 2 : 1),
                 exit_of(half, side, o.classes));
  }
  return network;
}

}  // namespace einet
