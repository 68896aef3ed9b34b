// B-AlexNet, the multi-exit AlexNet of BranchyNet: Teerapittayanon, McDanel, Kung, "BranchyNet: Fast
// Inference via Early Exiting from Deep Neural Networks" (ICPR 2016), with the layers of its authors'
// published implementation for CIFAR-10: five convolutions of 32, 64, 96, 96 and 64 channels, local response
// norm after the first two, side branches after the second (two convolutions, one FC) and the third (one
// convolution, one FC), three FC at the end. Two things differ: what a branch and the main line both compute
// right after the branching point (relu, pooling, norm) is in the trunk, once; and pooling pads on both
// sides, where theirs lets the last window hang over. 28 x 28 images give the same maps of 4 x 4 at the end.
//
// early-alexnet is the same main line, cheaper at its end, with its first exit one convolution earlier and
// one convolution and two FC in every exit, as the EINet paper's branches have. It makes smaller steps.
#include "models/torch/layers.h"
#include "models/torch/zoo.h"

namespace einet {
namespace {

using std::make_shared;

std::shared_ptr<Part> convolution(int in, int out, int kernel) {
  return convolution(in, out, kernel, 1, Norm::none);
}

// Overlapping pooling as in AlexNet: half the size, rounded up.
std::shared_ptr<Part> pool() {
  return make_shared<MaxPoolLayer>(3, 2, 1);
}
int pooled(int side) {
  return (side + 1) / 2;
}

std::shared_ptr<Part> across() {
  return make_shared<LocalResponseNormLayer>(
      LocalResponseNorm{.size = 3, .alpha = 5e-5F, .beta = 0.75F, .k = 1});
}

std::shared_ptr<Part> normalised(int in, int out) {
  return chain({convolution(in, out, 5), pool(), across()});
}

std::shared_ptr<Part> flatten() {
  return make_shared<FlattenLayer>();
}
std::shared_ptr<Part> dropout() {
  return make_shared<DropoutLayer>();
}

// conv 3x3, pool, FC, FC.
std::shared_ptr<Part> early_exit(int in, int side, int channels, int hidden, int classes) {
  const int vector = channels * pooled(side) * pooled(side);
  return chain({convolution(in, channels, 3), pool(), flatten(), linear(vector, hidden, Activation::relu),
                linear(hidden, classes, Activation::none)});
}

}  // namespace

std::shared_ptr<Network> make_b_alexnet(const NetworkOptions& o) {
  auto network = make_shared<Network>(o.name, o.input, o.classes);
  const int c32 = o.narrowed(32), c64 = o.narrowed(64), c96 = o.narrowed(96);
  const int half = pooled(pooled(pooled(o.input.height))), quarter = pooled(half);
  network->add(chain({normalised(o.input.channels, c32), normalised(c32, c64)}),
               chain({convolution(c64, c32, 3), convolution(c32, c32, 3), pool(), flatten(),
                      linear(c32 * half * half, o.classes, Activation::none)}));
  network->add(convolution(c64, c96, 3),
               chain({pool(), across(), convolution(c96, c32, 3), pool(), flatten(),
                      linear(c32 * quarter * quarter, o.classes, Activation::none)}));
  const int f256 = o.narrowed(256), f128 = o.narrowed(128);
  network->add(
      chain({convolution(c96, c96, 3), convolution(c96, c64, 3)}),
      chain({pool(), flatten(), linear(c64 * half * half, f256, Activation::relu), dropout(),
             linear(f256, f128, Activation::relu), dropout(), linear(f128, o.classes, Activation::none)}));
  return network;
}

std::shared_ptr<Network> make_early_alexnet(const NetworkOptions& o) {
  auto network = make_shared<Network>(o.name, o.input, o.classes);
  const int c32 = o.narrowed(32), c64 = o.narrowed(64), c96 = o.narrowed(96);
  int side = pooled(o.input.height);
  // The first exit looks at a map pooled once more: it must stay much cheaper than the block after it.
  network->add(normalised(o.input.channels, c32),
               chain({pool(), early_exit(c32, pooled(side), 8, 16, o.classes)}));
  side = pooled(side);
  network->add(normalised(c32, c64), early_exit(c64, side, 32, 64, o.classes));
  network->add(chain({convolution(c64, c96, 3), convolution(c96, c96, 3)}),
               early_exit(c96, side, 64, 128, o.classes));
  return network;
}

}  // namespace einet
