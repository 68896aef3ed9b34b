// The program reader on foreign bytes: what it accepts, it writes and reads back the same, and memory can be
// planned.
#include <cstdlib>

#include "models/memory_plan.h"
#include "models/program.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace einet;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Shape input{2, 6, 6};
  const auto program = read_program(text, "program", input, 3);
  if (!program) return program.error().message.empty() ? std::abort(), 0 : 0;
  plan_memory(*program);
  const auto again = read_program(write_program(*program), "again", input, 3);
  if (!again || *again != *program) std::abort();
  return 0;
}
