// ResNet-50: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition" (CVPR 2016), table 1: stages
// of 3, 4, 6 and 3 bottlenecks, the stride on the 3x3 convolution as in later versions. For 32 x 32 images
// the stem is one 3x3 convolution without pooling, as usual on CIFAR. Six exits, one per about a sixth of the
// time (EINet, ICDCS 2023, "ResNet-50"): after bottlenecks 3, 5, 7, 10, 13, and the mean and FC after the
// last. A side branch is one convolution and two FC.
#include <array>

#include "models/torch/layers.h"
#include "models/torch/zoo.h"

namespace einet {
namespace {

struct ResNetBlock {
  int bottlenecks, inner, stride;  // the stride is the first bottleneck's
};
constexpr std::array<ResNetBlock, 6> kBlocks = {
    {{3, 64, 1}, {2, 128, 2}, {2, 128, 1}, {3, 256, 2}, {3, 256, 1}, {3, 512, 2}}};
constexpr int kStem = 64;

}  // namespace

std::shared_ptr<Network> make_resnet_50(const NetworkOptions& o) {
  auto network = std::make_shared<Network>(o.name, o.input, o.classes);
  int in = o.narrowed(kStem), side = o.input.height;
  for (std::size_t b = 0; b < kBlocks.size(); ++b) {
    const int inner = o.narrowed(kBlocks[b].inner);
    Parts trunk;
    if (b == 0) trunk.push_back(convolution(o.input.channels, in, 3, 1, Norm::batch));
    for (int i = 0; i < kBlocks[b].bottlenecks; ++i) {
      trunk.push_back(std::make_shared<BottleneckLayer>(in, inner, i == 0 ? kBlocks[b].stride : 1));
      in = BottleneckLayer::kExpansion * inner;
    }
    side = (side + kBlocks[b].stride - 1) / kBlocks[b].stride;
    const bool last = b + 1 == kBlocks.size();
    network->add(chain(std::move(trunk)),
                 last ? chain({std::make_shared<GlobalMeanLayer>(), linear(in, o.classes, Activation::none)})
                      : branch(in, side, o.narrowed(kBranchChannels), o.narrowed(kBranchHidden), o.classes));
  }
  return network;
}

}  // namespace einet
