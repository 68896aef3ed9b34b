// The control socket between einetd and one einet-worker: configuration, loading models, log lines; nothing
// that is urgent. Messages are plain structs, checked when they are received: what a worker says of a model
// comes from foreign data. The wire format (protobuf, one message per SOCK_SEQPACKET packet) stays inside.
//
// The conversation: the daemon sends Configure, the worker answers Ready; then any number of LoadModel, each
// answered by ModelLoaded or ModelRefused in order, log lines at any time; in the end Shutdown, after
// DaemonEnd::close, or the socket closes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "config/bytes.h"
#include "config/ids.h"
#include "config/result.h"
#include "config/time.h"
#include "config/unique_fd.h"
#include "ipc/lane/grant.h"
#include "ipc/lane/layout.h"
#include "planner/predictor.h"

namespace einet::lane {

// ---- to the worker ----

struct Configure {
  std::string backend;  // "onednn", "synthetic", "cuda:N"
  int lanes = 1;        // 1 … kMaxLanes, urgent lanes not counted
  int threads = 1;      // per lane, 1 … 1024; OMP_NUM_THREADS of the worker's environment must say the same
  std::vector<int> cores;  // lane i is pinned to entries [i * threads, (i + 1) * threads); empty: not pinned
  int nice = 0;            // of the lanes while they do ordinary work: -20 … 19
  // SCHED_FIFO priority of a lane while it does reserved work or waits for work; 0: ordinary scheduling.
  int reserved_priority = 0;  // 0 … 99
  // 0: no urgent lanes. Else the channel has 2 * lanes lanes, and lane `lanes` + i is the urgent lane of lane
  // i: on its cores, always with this SCHED_FIFO priority.
  int urgent_priority = 0;  // 0, or reserved_priority + 1 … 99 where lanes are pinned
  ByteCount memory{};         // of the device, for weights and jobs' states; zero: as much as there is
  // DaemonEnd's, and the arena in which grants name inputs. Sent as duplicates.
  UniqueFd down, up, doorbell, arena;
};

struct LoadModel {
  ModelId model;     // chosen by the daemon; < kMaxModels, not used before on this worker
  std::string path;  // of the package: NAME.einet
};
inline constexpr std::uint32_t kMaxModels = 1024;

struct Shutdown {};

using ToWorker = std::variant<Configure, LoadModel, Shutdown>;

// ---- from the worker ----

// What the lanes were given of what they were configured with.
enum class Places : std::uint8_t {
  all,      // every lane has its cores and may take its ranks
  missing,  // log lines said what is not to be had; the lanes run all the same
};

// The lanes run.
struct Ready {
  Places places = Places::missing;
  std::vector<int> threads{};  // the kernel's number of each lane's thread, > 0; at most kMaxLanes
};

struct PartTime {
  Duration p50{}, p99{}, max{};  // 0 <= p50 <= p99 <= max
};
struct BlockTimes {
  PartTime trunk, exit;
};

// What the daemon needs of a package. The worker has read it; the daemon never does.
struct ModelDescription {
  std::string name;        // [A-Za-z0-9_.-]{1,64}
  std::string version;     // at most 1000 bytes, not to be trusted as text
  std::string digest;      // SHA-256 in hex: names the package's content
  std::vector<int> input;  // dimensions, outermost first: 1 to 3, each >= 1, at most 2^26 elements together
  int blocks = 0;          // 1 … kMaxBlocks
  int classes = 0;         // 1 … kMaxClasses
  std::vector<std::string> labels;  // one per class, or none; like version
  std::vector<BlockTimes> times;    // ET-profile of this device: one per block, or none
  std::vector<double> accuracy;     // of each exit on held-out samples, in [0, 1]: one per block, or none
  ByteCount state;                  // memory of one job's state in the worker
  // How answers are judged; of as many exits and classes, and check() holds. None: every sample is like the
  // mean.
  std::optional<PredictorParameters> predictor{};
};

struct ModelLoaded {
  ModelId model;
  ModelDescription description;
};

struct ModelRefused {
  ModelId model;
  std::string reason;  // may quote the package: not to be trusted as text
};

enum class Severity : std::uint8_t { info, warning, error };

struct LogLine {
  Severity severity = Severity::info;
  std::string text;  // not to be trusted as text
};

using FromWorker = std::variant<Ready, ModelLoaded, ModelRefused, LogLine>;

// ---- the socket ----

inline constexpr ByteCount kMaxControlMessage{192u << 10};

// The bytes of one packet, without descriptors. Error: larger than kMaxControlMessage.
Result<std::string> encode(const ToWorker&);
Result<std::string> encode(const FromWorker&);
// Checks every field. Error: not such a message, or a value that is not allowed; names the field.
Result<ToWorker> decode_to_worker(std::string_view packet, std::vector<UniqueFd> fds);
Result<FromWorker> decode_from_worker(std::string_view packet);

enum class Waiting : std::uint8_t {
  block,  // for the worker
  never,  // for the daemon's event loop
};

enum class Received : std::uint8_t { message, nothing, closed };

// One end. Any thread may send, one receives.
class ControlSocket {
 public:
  ControlSocket() = default;
  // Takes over one end of a pair.
  explicit ControlSocket(UniqueFd socket) : socket_(std::move(socket)) {}
  // The daemon's end, and the one to hand to the worker; both close on exec.
  static Result<std::pair<ControlSocket, UniqueFd>> make_pair();

  int fd() const { return socket_.get(); }

  // Error: the other side is gone, or (Waiting::never) does not read and the socket is full.
  Result<void> send(const ToWorker&, Waiting);
  Result<void> send(const FromWorker&, Waiting);
  // `message`: `into` was filled. Error: what decode_… refuses; the socket goes on.
  Result<Received> receive(ToWorker& into, Waiting);
  Result<Received> receive(FromWorker& into, Waiting);

 private:
  Result<void> send_packet(std::string_view packet, const std::vector<int>& fds, Waiting);
  Result<Received> receive_packet(std::string& packet, std::vector<UniqueFd>& fds, Waiting);

  UniqueFd socket_;
};

}  // namespace einet::lane
