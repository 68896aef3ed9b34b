// A network whose trunk and last exit are a block program's, with branches attached at cuts: what a
// conversion trains. For models/torch only.
#pragma once

#include <memory>
#include <string>

#include "models/torch/conversion.h"
#include "models/torch/network.h"

namespace einet {

// The weights of the program are parameters; with Learn::branches they stay as they are. Error: cuts that are
// not find_cuts' for this program, or an exit that reads more than the trunk's last map or vector.
Result<std::shared_ptr<Network>> make_converted(std::string name, const Conversion& conversion, Learn learn);

}  // namespace einet
