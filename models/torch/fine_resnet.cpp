// Fine-ResNet: a residual network (He, Zhang, Ren, Sun: "Deep Residual Learning for Image Recognition", CVPR
// 2016) with an exit after every residual block, as shallow-deep networks have (Kaya, Hong, Dumitras:
// "Shallow-Deep Networks: Understanding and Mitigating Network Overthinking", ICML 2019). Ten blocks, the
// last four about half as long as the first six, each a small step in accuracy: fine enough to preempt and to
// plan. Exits are a convolution and two fully connected layers on a pooled map, small, so that executing one
// costs a fraction of its block.
#include "models/torch/layers.h"

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
  return make_shared<Chain>(std::vector<std::shared_ptr<Part>>{
      make_shared<MaxPoolLayer>(first, first, 0),
      make_shared<ConvolutionLayer>(channels, kChannels, 3, 1, Norm::batch, Activation::relu),
      make_shared<MaxPoolLayer>(2, 2, 0), make_shared<FlattenLayer>(),
      make_shared<LinearLayer>(kChannels * left * left, kHidden, Activation::relu),
      make_shared<LinearLayer>(kHidden, classes, Activation::none)});
}

class FineResNet final : public Network {
 public:
  FineResNet(Shape input, int classes) : Network("fine-resnet", input, classes) {
    int side = input.height;
    for (int i = 0; i < kFullSizeBlocks; ++i) {
      std::vector<std::shared_ptr<Part>> trunk;
      if (i == 0) {
        trunk.push_back(make_shared<ConvolutionLayer>(input.channels, kFullSizeChannels, 3, 1, Norm::batch,
                                                      Activation::relu));
      }
      trunk.push_back(make_shared<ResidualLayer>(kFullSizeChannels, kFullSizeChannels, 1));
      add(make_shared<Chain>(std::move(trunk)), exit_of(kFullSizeChannels, side, classes));
    }
    side /= 2;
    for (int i = 0; i < kHalfSizeBlocks; ++i) {
      const int in = i == 0 ? kFullSizeChannels : kHalfSizeChannels;
      add(make_shared<ResidualLayer>(in, kHalfSizeChannels, i == 0 ? 2 : 1),
          exit_of(kHalfSizeChannels, side, classes));
    }
  }
};

}  // namespace

std::shared_ptr<Network> make_fine_resnet(Shape input, int classes) {
  return make_shared<FineResNet>(input, classes);
}

}  // namespace einet
