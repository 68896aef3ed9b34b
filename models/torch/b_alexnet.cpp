// B-AlexNet, the multi-exit AlexNet of BranchyNet: Teerapittayanon, McDanel, Kung, "BranchyNet: Fast
// Inference via Early Exiting from Deep Neural Networks" (ICPR 2016). The main line has the five convolutions
// of the small-image AlexNet, local response norm after the first two, and two side branches. Every exit is a
// convolution and two fully connected layers; the last exit's convolution is the main line's fifth.
#include "models/torch/layers.h"

namespace einet {
namespace {

using std::make_shared;

std::shared_ptr<Part> convolution(int in, int out, int kernel) {
  return make_shared<ConvolutionLayer>(in, out, kernel, 1, Norm::none, Activation::relu);
}

std::shared_ptr<Part> chain(std::vector<std::shared_ptr<Part>> parts) {
  return make_shared<Chain>(std::move(parts));
}

// Overlapping pooling as in AlexNet: half the size, rounded up.
std::shared_ptr<Part> pool() {
  return make_shared<MaxPoolLayer>(3, 2, 1);
}
int pooled(int side) {
  return (side + 1) / 2;
}

std::shared_ptr<Part> normalised(int in, int out) {
  const LocalResponseNorm across{.size = 3, .alpha = 5e-5F, .beta = 0.75F, .k = 1};
  return make_shared<Chain>(std::vector<std::shared_ptr<Part>>{convolution(in, out, 5), pool(),
                                                               make_shared<LocalResponseNormLayer>(across)});
}

// conv 3x3, pool, FC, FC.
std::shared_ptr<Part> exit_of(int in, int side, int channels, int hidden, int classes) {
  const int vector = channels * pooled(side) * pooled(side);
  return make_shared<Chain>(
      std::vector<std::shared_ptr<Part>>{convolution(in, channels, 3), pool(), make_shared<FlattenLayer>(),
                                         make_shared<LinearLayer>(vector, hidden, Activation::relu),
                                         make_shared<LinearLayer>(hidden, classes, Activation::none)});
}

class BAlexNet final : public Network {
 public:
  BAlexNet(Shape input, int classes) : Network("b-alexnet", input, classes) {
    int side = pooled(input.height);
    // The first exit looks at a map pooled once more: it must stay much cheaper than the block after it.
    add(normalised(input.channels, 32), chain({pool(), exit_of(32, pooled(side), 8, 16, classes)}));
    side = pooled(side);
    add(normalised(32, 64), exit_of(64, side, 32, 64, classes));
    add(chain({convolution(64, 96, 3), convolution(96, 96, 3)}), exit_of(96, side, 64, 128, classes));
  }
};

}  // namespace

std::shared_ptr<Network> make_b_alexnet(Shape input, int classes) {
  return make_shared<BAlexNet>(input, classes);
}

}  // namespace einet
