// Programs: what is written reads back, what does not make sense is refused, states and memory are as
// defined.
#include "models/program.h"

#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "models/memory_plan.h"
#include "random_package.h"

namespace einet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

RC_GTEST_PROP(Program, ReadsBackEqual, ()) {
  const Program program = test::RandomProgram::make();
  const auto read = read_program(write_program(program), "program", program.input(), program.classes());
  if (!read) RC_FAIL(read.error().message);
  RC_ASSERT(*read == program);
}

// What part of which block wrote a register; exits are odd.
std::vector<int> writers(const Program& program) {
  std::vector<int> part_of(static_cast<std::size_t>(program.register_count()), -1);
  for (int b = 0; b < program.block_count(); ++b) {
    for (const Operation& op : program.block(b).trunk) part_of[static_cast<std::size_t>(op.output)] = 2 * b;
    for (const Operation& op : program.block(b).exit)
      part_of[static_cast<std::size_t>(op.output)] = 2 * b + 1;
  }
  return part_of;
}

RC_GTEST_PROP(Program, TheStateIsWhatLaterPartsReadOfEarlierTrunks, ()) {
  const Program program = test::RandomProgram::make();
  const std::vector<int> part_of = writers(program);
  for (int b = 0; b < program.block_count(); ++b) {
    std::set<Register> needed;
    for (int later = b; later < program.block_count(); ++later) {
      const Block& block = program.block(later);
      for (const auto* part : {&block.trunk, &block.exit}) {
        if (later == b && part == &block.trunk) continue;
        for (const Operation& op : *part) {
          for (const Register r : op.inputs) {
            const int writer = part_of[static_cast<std::size_t>(r)];
            if (writer % 2 != 1 && writer <= 2 * b) needed.insert(r);
          }
        }
      }
    }
    const auto state = program.state_after(b);
    RC_ASSERT(std::vector<Register>(state.begin(), state.end()) ==
              std::vector<Register>(needed.begin(), needed.end()));
  }
}

// Executes the plan on tags instead of numbers: every operation writes its register's number over its whole
// place, and must find its inputs' numbers still there. Odd exits are skipped; the arena is lost between any
// two parts.
bool keeps_what_is_needed(const Program& program, const MemoryPlan& plan) {
  std::vector<int> state(plan.state_floats, -1);
  std::vector<int> arena(plan.arena_floats, -1);
  bool kept = true;
  const auto place = [&](Register r) {
    const MemoryPlan::Place& p = plan.places[static_cast<std::size_t>(r)];
    auto& area = p.area == MemoryPlan::Area::state ? state : arena;
    return std::span(area).subspan(p.offset, static_cast<std::size_t>(program.shape(r).elements()));
  };
  const auto execute = [&](const std::vector<Operation>& part) {
    for (const Operation& op : part) {
      std::ranges::fill(place(op.output), op.output);
      for (const Register r : op.inputs) {
        kept = kept && std::ranges::all_of(place(r), [&](int tag) { return tag == r; });
      }
    }
    std::ranges::fill(arena, -1);
  };
  std::ranges::fill(place(0), 0);
  for (int b = 0; b < program.block_count(); ++b) {
    execute(program.block(b).trunk);
    if (b % 2 == 0) execute(program.block(b).exit);
  }
  return kept;
}

RC_GTEST_PROP(MemoryPlan, NoRegisterIsOverwrittenWhileItIsNeeded, ()) {
  const Program program = test::RandomProgram::make();
  const MemoryPlan plan = plan_memory(program);
  for (const MemoryPlan::Place& place : plan.places) RC_ASSERT(place.offset % 16 == 0U);
  RC_ASSERT(keeps_what_is_needed(program, plan));
}

// Negative control of the property above.
TEST(MemoryPlan, APlanThatPutsAllInOnePlaceIsSeenToOverwrite) {
  ProgramBuilder net({1, 4, 4}, 1);
  net.begin_block();
  const Register x = net.add(Relu{}, {net.input()});
  net.begin_exit();
  net.add(Softmax{}, {net.add(GlobalMean{}, {x})});
  const auto program = std::move(net).finish();
  MemoryPlan plan = plan_memory(*program);
  EXPECT_TRUE(keeps_what_is_needed(*program, plan));
  for (MemoryPlan::Place& place : plan.places) place.offset = 0;
  EXPECT_FALSE(keeps_what_is_needed(*program, plan));
}

TEST(MemoryPlan, RegistersWhoseLivesDoNotMeetShareTheirPlace) {
  ProgramBuilder net({1, 4, 4}, 1);
  net.begin_block();
  Register x = net.input();
  for (int i = 0; i < 10; ++i) x = net.add(Relu{}, {x});
  net.begin_exit();
  net.add(Softmax{}, {net.add(GlobalMean{}, {x})});
  const MemoryPlan plan = plan_memory(*std::move(net).finish());
  EXPECT_EQ(plan.arena_floats, 32U);  // two take turns
  EXPECT_EQ(plan.state_floats, 16U);  // the input, then what the exit reads
}

TEST(Program, CarriesSeveralRegistersAcrossABlock) {
  ProgramBuilder net({1, 2, 2}, 1);
  net.begin_block();
  const Register a = net.add(Relu{}, {net.input()});
  const Register b = net.add(Relu{}, {a});
  const Register c = net.add(Relu{}, {b});
  net.begin_exit();
  net.add(Softmax{}, {net.add(GlobalMean{}, {c})});
  net.begin_block();
  net.begin_exit();
  net.add(Softmax{}, {net.add(GlobalMean{}, {net.add(Addition{}, {a, c})})});
  const auto program = std::move(net).finish();
  ASSERT_TRUE(program) << program.error().message;
  EXPECT_THAT(program->state_after(0), ElementsAre(a, c));
  EXPECT_THAT(program->state_after(1), ElementsAre(a, c));
}

// The error for a trunk of one operation on an input [4, 6, 6] (a map) followed by a right exit.
std::string refusal(Action action, std::vector<Register> inputs = {0}, Shape input = {4, 6, 6}) {
  ProgramBuilder net(input, 1);
  net.begin_block();
  const Register x = net.add(std::move(action), std::move(inputs));
  net.begin_exit();
  net.add(Softmax{}, {net.add(GlobalMean{}, {net.add(Relu{}, {x})})});
  const auto program = std::move(net).finish();
  return program ? "" : program.error().message;
}

Convolution convolution(int channels, Window window, int groups = 1) {
  return {channels, window, groups, false, "w", "b"};
}

TEST(Program, RefusesOperationsThatDoNotFit) {
  EXPECT_EQ(refusal(convolution(1, {3, 3, 1, 1, 1, 1})), "");
  EXPECT_EQ(refusal(convolution(1, {7, 3, 1, 1, 0, 0})),
            "block 0 trunk[0] (convolution): the kernel [7, 3] is larger than its padded input [4, 6, 6]");
  EXPECT_THAT(refusal(convolution(0, {})), HasSubstr("has 0 channels; allowed are 1 to 65536"));
  EXPECT_THAT(refusal(convolution(1, {1, 1, 0, 1, 0, 0})), HasSubstr("kernel and stride must be from 1"));
  EXPECT_THAT(refusal(convolution(1, {1, 1, 1, 1, -1, 0})), HasSubstr("padding from 0"));
  EXPECT_THAT(refusal(convolution(6, {}, 3)),
              HasSubstr("has 3 groups, which do not divide its 4 input and 6 output channels"));
  EXPECT_THAT(refusal(convolution(6, {}, 0)), HasSubstr("has 0 groups"));
  EXPECT_THAT(refusal(convolution(1, {}), {0, 0}),
              HasSubstr("its residual has the shape [4, 6, 6]; expected [1, 6, 6]"));
  EXPECT_THAT(refusal(convolution(1, {}), {}), HasSubstr("has 0 inputs; expected 1 to 2"));
  EXPECT_THAT(refusal(MaxPool{{2, 2, 1, 1, 2, 0}}), HasSubstr("padding may be at most half its kernel"));
  EXPECT_THAT(refusal(Linear{3, false, "w", "b"}),
              HasSubstr("its input is the map [4, 6, 6]; expected a vector"));
  EXPECT_THAT(refusal(LocalResponseNorm{4}),
              HasSubstr("has the size 4; allowed are odd numbers from 1 to 255"));
  EXPECT_THAT(refusal(LocalResponseNorm{5, std::nanf(""), 1, 1}), HasSubstr("alpha must be from 0 to 1e6"));
  EXPECT_THAT(refusal(Addition{}, {0}), HasSubstr("has 1 inputs; expected 2"));
  EXPECT_THAT(refusal(Concatenation{}, std::vector<Register>(65, 0)),
              HasSubstr("has 65 inputs; expected 1 to 64"));
  EXPECT_THAT(refusal(Relu{}, {1}), HasSubstr("reads register 1 before it is written"));
  EXPECT_THAT(refusal(Relu{}, {-1}), HasSubstr("reads register -1 before it is written"));
  EXPECT_THAT(refusal(GlobalMean{}, {0}, Shape::vector(4)),
              HasSubstr("its input is the vector [4]; expected a map [C, H, W]"));
  EXPECT_THAT(refusal(Convolution{1, {}, 1, false, "a\nb", "b"}),
              HasSubstr("refers to the tensor \"a\\x0ab\""));
  EXPECT_THAT(refusal(Convolution{1, {}, 1, false, "w", "w"}),
              HasSubstr("needs the tensor \"w\" as [1], but an earlier operation as [1, 4, 1, 1]"));
}

TEST(Program, RefusesSizesThatOverflow) {
  EXPECT_THAT(refusal(Relu{}, {0}, {65536, 65536, 65536}), HasSubstr("input: the shape"));
  EXPECT_THAT(refusal(Relu{}, {0}, {70000, 1, 1}), HasSubstr("dimension outside 1 to 65536"));
  EXPECT_THAT(refusal(Relu{}, {0}, {1, 0, 1}), HasSubstr("dimension outside 1 to 65536"));
  EXPECT_THAT(refusal(Flatten{}, {0}, {4, 256, 256}), HasSubstr("would make a vector of 262144"));
  EXPECT_THAT(refusal(convolution(65536, {1024, 1024, 1, 1, 1024, 1024}), {0}, {1, 1, 1}),
              HasSubstr("elements; at most 67108864 are allowed"));
  EXPECT_THAT(refusal(convolution(65536, {1, 1, 1, 1, 1024, 1024})),
              HasSubstr("the shape [65536, 2054, 2054]"));
  ProgramBuilder net({1024, 256, 256}, 1);
  net.begin_block();
  Register x = net.input();
  for (int i = 0; i < 4; ++i) x = net.add(Relu{}, {x});
  EXPECT_THAT(std::move(net).finish().error().message,
              HasSubstr("trunk[3] (relu): all registers up to here have"));
}

TEST(Program, RefusesWrongBlocks) {
  const Shape input{1, 1, 1};
  const std::vector<Operation> exit = {{GlobalMean{}, {0}, 1}, {Softmax{}, {1}, 2}};
  const auto said = [&](int classes, std::vector<Block> blocks) {
    const auto program = Program::make(input, classes, std::move(blocks));
    return program ? "" : program.error().message;
  };
  EXPECT_EQ(said(1, {{{}, exit}}), "");
  EXPECT_EQ(said(1, {}), "has 0 blocks; allowed are 1 to 64");
  EXPECT_THAT(said(2, {{{}, exit}}),
              HasSubstr("must end with a softmax over the 2 classes; it ends with a softmax of "
                        "the shape [1]"));
  EXPECT_THAT(said(1, {{{}, {exit[0]}}}), HasSubstr("it ends with a global_mean of the shape [1]"));
  EXPECT_THAT(said(1, {{{}, {}}}),
              HasSubstr("block 0 exit: must end with a softmax over the 1 classes; it is empty"));
  EXPECT_THAT(said(1, {{{}, {exit[0], {Softmax{}, {1}, 3}}}}), HasSubstr("writes register 3; expected 2"));
  EXPECT_THAT(said(1, {{{}, exit}, {{}, {{Softmax{}, {2}, 3}}}}),
              HasSubstr("block 1 exit[0] (softmax): reads register 2 of exit 0, which may be skipped"));
  EXPECT_THAT(said(1, {{{{Relu{}, {2}, 1}}, {}}}), HasSubstr("reads register 2 before it is written"));
  EXPECT_THAT(said(1, std::vector<Block>(65)), HasSubstr("has 65 blocks"));
  EXPECT_THAT(said(1, {{std::vector<Operation>(8193), {}}}), HasSubstr("has 8193 operations; at most 8192"));
}

TEST(ProgramFile, SaysLineColumnAndKey) {
  const auto said = [](std::string_view text) {
    const auto program = read_program(text, "p", {1, 1, 1}, 1);
    return program ? "" : program.error().message;
  };
  const std::string rest = "exit = [{op='global_mean', in=[0], out=1}, {op='softmax', in=[1], out=2}]\n";
  EXPECT_EQ(said("[[block]]\n" + rest), "");
  EXPECT_THAT(said("[[block]]\nexit = [{op='global_mean', in=[0], out='1'}]"),
              testing::AllOf(testing::StartsWith("p:2:"), HasSubstr("block[0].exit[0].out: found \"1\"")));
  EXPECT_THAT(said("[[block]]\ntrunk = [{op='max_pool', in=[0], out=1}]"),
              HasSubstr("trunk[0].kernel: is missing"));
  EXPECT_THAT(said("[[block]]\ntrunk = [{op='max_pool', in=[0], out=1, kernel=[2]}]"),
              HasSubstr("kernel: expected two numbers, [height, width]"));
  EXPECT_THAT(said("[[block]]\ntrunk = [{op='relu', in=[0], out=1, chanels=3}]"), HasSubstr("unknown key"));
  EXPECT_THAT(said("blocks = 3"), HasSubstr("blocks: unknown key; did you mean \"block\"?"));
  EXPECT_THAT(said("[[block"), HasSubstr("not TOML"));
  EXPECT_THAT(said(""), HasSubstr("p: has 0 blocks"));
}

}  // namespace
}  // namespace einet
