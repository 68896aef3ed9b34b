// Published networks as packages with made-up weights, for measuring time: what they answer means nothing.
// No profiles.
#pragma once

#include "models/package.h"

namespace einet {

// Simonyan and Zisserman 2015, configuration D; a block per convolution.
Package vgg16(Shape input);
// He et al. 2016, bottlenecks [3, 4, 6, 3]; a block per bottleneck.
Package resnet50(Shape input);
// WRN-n-k (Zagoruyko and Komodakis 2016) of three stages with so many residual blocks each, n = 6 x that + 4,
// and k times 16 channels in the first, twice and four times that in the others. A block per residual block.
Package wide_resnet(Shape input, int per_stage, int width);
// In the manner of MSDNet (Huang et al. 2018): 21 blocks of small layers on three scales, several registers
// carried.
Package multi_scale(Shape input);

}  // namespace einet
