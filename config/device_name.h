// Names of devices that mean something: "cuda:N".
#pragma once

#include <optional>
#include <string_view>

namespace einet {

// N of "cuda:N", from 0 to 63; nothing if the name is of another form.
std::optional<int> cuda_index(std::string_view device);

}  // namespace einet
