// Published networks as packages with made-up weights, for measuring time: what they answer means nothing.
// No profiles.
#pragma once

#include "models/package.h"

namespace einet {

// Simonyan and Zisserman 2015, configurations D and E; a block per convolution.
Package vgg16(Shape input);
Package vgg19(Shape input);
// He et al. 2016, bottlenecks [3, 4, 6, 3] and [3, 4, 23, 3]; a block per bottleneck.
Package resnet50(Shape input);
Package resnet101(Shape input);
// In the manner of MSDNet (Huang et al. 2018): 21 blocks of small layers on three scales, several registers
// carried.
Package multi_scale(Shape input);

}  // namespace einet
