// libFuzzer: any bytes, cut into any pieces, go through the frame decoder; every whole frame's body is parsed
// as what its header says. The first byte chooses the body limit, the second the size of the pieces.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "ipc/client/message.h"

namespace einet {
namespace {

// False: the frame is of another type.
template <class Body>
bool try_body(const Frame& frame) {
  if (frame.header.type != kTypeOf<Body>) return false;
  const auto body = parse_body<Body>(frame.header, frame.body);
  if (!body) return true;
  // What was understood can be said again, and means the same.
  std::string again;
  if (!encode_message(frame.header.request, *body, 0, kMaxBody, again)) return true;
  const auto decoded = decode_frame(again, kMaxBody);
  if (!decoded || !*decoded || (*decoded)->size() != again.size()) std::abort();
  if (!parse_body<Body>((*decoded)->header, (*decoded)->body)) std::abort();
  return true;
}

// Every type that has a name is one of these.
template <class... Bodies>
void try_bodies(const Frame& frame) {
  if (!(try_body<Bodies>(frame) || ...)) std::abort();
}

}  // namespace
}  // namespace einet

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace einet;
  if (size < 2) return 0;
  FrameDecoder decoder(ByteCount{data[0] * 64u});
  const std::size_t piece = data[1] + 1u;
  for (std::size_t sent = 2; sent < size;) {
    const auto space = decoder.space();
    const std::size_t n = std::min({piece, space.size(), size - sent});
    std::memcpy(space.data(), data + sent, n);
    decoder.received(n);
    sent += n;
    while (true) {
      const auto frame = decoder.next();
      if (!frame) return 0;
      if (!*frame) break;
      try_bodies<wire::Hello, wire::RegisterRegion, wire::UnregisterRegion, wire::Submit, wire::Cancel,
                 wire::Watch, wire::ListJobs, wire::ListModels, wire::GetStatus, wire::AddTask,
                 wire::RemoveTask, wire::ListTasks, wire::HelloReply, wire::Error, wire::Done,
                 wire::RegionRegistered, wire::Accepted, wire::Rejected, wire::ExitResult, wire::Outcome,
                 wire::Event, wire::JobList, wire::ModelList, wire::Status, wire::TaskAdded,
                 wire::TaskRefused, wire::TaskList>(**frame);
    }
  }
  return 0;
}
