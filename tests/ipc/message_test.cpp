// Bodies: typed both ways, and refused in words when they are not what the frame says.
#include "ipc/client/message.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace einet {
namespace {

template <class Body>
Result<Body> round_trip(const Body& body) {
  std::string bytes;
  if (auto ok = encode_message(7, body, 0, kMaxBody, bytes); !ok) return ok.error();
  const auto frame = decode_frame(bytes, kMaxBody);
  if (!frame) return frame.error();
  EXPECT_EQ((*frame)->header.request, 7u);
  EXPECT_EQ((*frame)->size(), bytes.size());
  return parse_body<Body>((*frame)->header, (*frame)->body);
}

TEST(Messages, ASubmitReadsBackAsItWasWritten) {
  EXPECT_TRUE(rc::check([](const std::string& input, std::int64_t release, std::int64_t deadline,
                           std::int32_t priority, bool region, bool absolute, bool mandatory) {
    wire::Submit submit;
    submit.set_model("digits");
    submit.set_dtype(wire::F32);
    for (std::uint32_t d : {1u, 28u, 28u}) submit.add_shape(d);
    if (region) {
      submit.mutable_region()->set_offset(input.size());
    } else {
      submit.set_inline_bytes(input);
    }
    absolute ? submit.set_release_at_ns(release) : submit.set_release_in_ns(release);
    absolute ? submit.set_deadline_in_ns(deadline) : submit.set_deadline_at_ns(deadline);
    submit.set_priority(priority);
    if (mandatory) submit.set_mandatory_exit(0);
    const auto back = round_trip(submit);
    RC_ASSERT(back.has_value());
    RC_ASSERT(back->SerializeAsString() == submit.SerializeAsString());
    RC_ASSERT(back->has_mandatory_exit() == mandatory);
    RC_ASSERT(back->input_case() == submit.input_case());
    RC_ASSERT(back->deadline_case() == submit.deadline_case());
  }));
}

TEST(Messages, AnExitZeroIsNotTheSameAsNoExit) {
  wire::Outcome none;
  wire::Outcome first;
  first.mutable_best()->set_exit(0);
  EXPECT_FALSE(round_trip(none).value().has_best());
  EXPECT_TRUE(round_trip(first).value().has_best());
}

TEST(Messages, ABodyThatIsNotTheMessageIsAnError) {
  const FrameHeader header{MessageType::cancel, 3, 0, 1};
  const auto bad = parse_body<wire::Cancel>(header, "\xff\xff\xff");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message, "the 3 bytes of a cancel body are not such a message (protocol.proto)");
  // Text must be UTF-8.
  wire::Error words;
  words.set_words("\xff");
  EXPECT_FALSE(parse_body<wire::Error>({MessageType::error, 0, 0, 1}, words.SerializeAsString()));
}

TEST(Messages, ABodyCutAtEveryByteIsAnErrorOrAShorterMessageNeverACrash) {
  wire::Submit submit;
  submit.set_model("digits");
  submit.set_inline_bytes(std::string(40, 'x'));
  submit.set_deadline_in_ns(1);
  const std::string bytes = submit.SerializeAsString();
  int errors = 0;
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    const auto part = parse_body<wire::Submit>({MessageType::submit, 0, 0, 1}, bytes.substr(0, n));
    errors += part ? 0 : 1;
  }
  EXPECT_GT(errors, 40);
}

TEST(Messages, ABodyOfAnotherTypeIsAnError) {
  const auto bad = parse_body<wire::Done>({MessageType::accepted, 0, 0, 1}, "");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message, "got message accepted; expected done");
}

}  // namespace
}  // namespace einet
