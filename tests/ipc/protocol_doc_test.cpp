// docs/protocol.md shows messages byte by byte; here they are read from the page and played against the
// codec, in both directions.
#include <cctype>
#include <map>
#include <sstream>

#include <gtest/gtest.h>

#include "config/files.h"
#include "ipc/client/message.h"

namespace einet {
namespace {

// The page's blocks "```hex NAME": every byte before '#', in hexadecimal.
std::map<std::string, std::string> examples(const std::string& page) {
  std::map<std::string, std::string> out;
  std::istringstream lines(page);
  std::string line;
  std::string* bytes = nullptr;
  while (std::getline(lines, line)) {
    if (line.starts_with("```")) {
      bytes = line.starts_with("```hex ") ? &out[line.substr(7)] : nullptr;
      continue;
    }
    if (bytes == nullptr) continue;
    std::istringstream words(line.substr(0, line.find('#')));
    for (std::string word; words >> word;) {
      EXPECT_EQ(word.size(), 2u) << line;
      *bytes += static_cast<char>(std::stoi(word, nullptr, 16));
    }
  }
  return out;
}

class ProtocolPage : public testing::Test {
 protected:
  void SetUp() override {
    const auto page = read_file(EINET_SOURCE_DIR "/docs/protocol.md", ByteCount{1 << 20});
    ASSERT_TRUE(page) << page.error().message;
    text_ = *page;
    examples_ = examples(text_);
  }

  // The example's bytes say exactly this, and this is encoded as exactly these bytes.
  template <class Body>
  void expect_example(const std::string& name_of_example, std::uint64_t request, const Body& body) {
    const std::string& bytes = examples_[name_of_example];
    std::string encoded;
    ASSERT_TRUE(encode_message(request, body, 0, kMaxBody, encoded));
    EXPECT_EQ(encoded, bytes) << name_of_example;
    const auto frame = decode_frame(bytes, kMaxBody);
    ASSERT_TRUE(frame) << frame.error().message;
    ASSERT_TRUE(*frame);
    EXPECT_EQ((*frame)->size(), bytes.size());
    EXPECT_EQ((*frame)->header.request, request);
    const auto parsed = parse_body<Body>((*frame)->header, (*frame)->body);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(parsed->SerializeAsString(), body.SerializeAsString());
  }

  std::string text_;
  std::map<std::string, std::string> examples_;
};

TEST_F(ProtocolPage, ItsBytesAreWhatTheCodecReadsAndWrites) {
  EXPECT_EQ(examples_.size(), 3u);
  wire::Hello hello;
  hello.set_min_version(1);
  hello.set_max_version(1);
  hello.add_capabilities(std::string(kRegions));
  hello.set_client("example");
  hello.set_tenant("camera");
  expect_example("hello", 1, hello);

  wire::Submit submit;
  submit.set_model("tiny");
  submit.set_dtype(wire::U8);
  for (std::uint32_t d : {1u, 2u, 2u}) submit.add_shape(d);
  submit.set_inline_bytes(std::string("\x00\x40\x80\xff", 4));
  submit.set_deadline_in_ns(10'000'000);
  submit.set_priority(5);
  submit.set_mandatory_exit(0);
  submit.set_stream_exits(true);
  expect_example("submit", 2, submit);

  wire::Accepted accepted;
  accepted.set_job(300);
  expect_example("accepted", 2, accepted);
}

TEST_F(ProtocolPage, NamesEveryMessageTypeWithItsNumber) {
  for (int type = 0; type < 256; ++type) {
    const std::string_view word = name(static_cast<MessageType>(type));
    if (word.empty()) continue;
    const bool request = is_request(static_cast<MessageType>(type));
    const std::string as_row = "| " + std::to_string(type) + " | " + std::string(word) + " (";
    const std::string as_reply = std::to_string(type) + " " + std::string(word);
    EXPECT_NE(text_.find(request ? as_row : as_reply), std::string::npos) << word;
  }
}

}  // namespace
}  // namespace einet
