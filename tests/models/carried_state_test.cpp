// The state that a job carries from one block to the next, as numbers.
#include "models/carried_state.h"

#include <gtest/gtest.h>

namespace einet {
namespace {

// Two scales, as an MSDNet has them: the second block reads a map and a vector, the third the input as well.
Program two_scales() {
  ProgramBuilder net({2, 4, 3}, 5);
  const auto answer = [&](Register x) {
    net.begin_exit();
    net.add(Softmax{}, {net.add(Linear{5, false, "exit.weight", "exit.bias"}, {x})});
  };
  net.begin_block();
  const Register fine = net.add(Relu{}, {net.input()});
  const Register coarse = net.add(GlobalMean{}, {fine});
  answer(coarse);
  net.begin_block();
  const Register both = net.add(Concatenation{}, {net.add(GlobalMean{}, {fine}), coarse});
  net.begin_exit();
  net.add(Softmax{}, {net.add(Linear{5, false, "both.weight", "both.bias"}, {both})});
  net.begin_block();
  answer(net.add(GlobalMean{}, {net.input()}));
  return std::move(net).finish().value();
}

TEST(CarriedState, IsWhatTheTrunksLeaveInAscendingOrderWithNothingInBetween) {
  const Program program = two_scales();
  for (int next_block = 1; next_block < 3; ++next_block) {
    const ByteCount bytes = carried_bytes(program, next_block);
    const auto carried = carried_registers(program, next_block, bytes);
    const auto state = program.state_after(next_block - 1);
    ASSERT_EQ(carried.size(), state.size());
    std::size_t end = 0;
    for (std::size_t i = 0; i < carried.size(); ++i) {
      EXPECT_EQ(carried[i].reg, state[i]);
      EXPECT_EQ(carried[i].shape, program.shape(state[i]));
      EXPECT_EQ(carried[i].offset, end);
      end += carried[i].bytes;
    }
    EXPECT_EQ(bytes.value, end);
  }
  // The input, its relu and the means of two channels; then the input and four means.
  EXPECT_EQ(carried_bytes(program, 1), ByteCount{(24 + 24 + 2) * sizeof(float)});
  EXPECT_EQ(carried_bytes(program, 2), ByteCount{(24 + 4) * sizeof(float)});
}

TEST(CarriedStateDeathTest, IsOnlyBetweenTwoBlocksAndOfItsSize) {
  const Program program = two_scales();
  EXPECT_DEATH(carried_bytes(program, 0), "between two blocks");
  EXPECT_DEATH(carried_bytes(program, 3), "between two blocks");
  EXPECT_DEATH(carried_registers(program, 1, ByteCount{4}), "as much room");
}

}  // namespace
}  // namespace einet
