// The control socket between einetd and one einet-worker: configuration, loading models, moving jobs' states,
// log lines; nothing that a lane waits for. Messages are plain structs, checked when they are received: what
// a worker says of a model comes from foreign data. The wire format (protobuf, one message per SOCK_SEQPACKET
// packet) stays inside.
//
// The conversation: the daemon sends Configure, the worker answers Ready. Then any number of LoadModel, each
// answered by ModelLoaded or ModelRefused, in their order; loading takes long and holds up nothing else. And
// of UnloadModel, answered by ModelUnloaded, and SaveState and LoadState, answered by StateMoved, in the
// order of all these. Log lines at any time; in the end Shutdown, after DaemonEnd::close, or the socket
// closes.
//
// A job moves to another worker: the daemon makes a memfd without a size and sends it with SaveState to the
// worker that holds the job's state, seals it when that worker has filled it, and sends it with LoadState to
// the other. The first worker's slot keeps the state, so the job may also go on there. No lane has a grant
// for the job between the asking and the answer.
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
  int lanes = 1;  // 1 … kMaxLanes, urgent lanes not counted; with them all_lanes() is at most kMaxLanes
  // Per lane, 1 … kMaxThreads (config/daemon_config.h); OMP_NUM_THREADS of the worker's environment must say
  // the same.
  int threads = 1;
  std::vector<int> cores;  // lane i is pinned to entries [i * threads, (i + 1) * threads); empty: not pinned
  int nice = 0;            // of the lanes while they do ordinary work: -20 … 19
  // SCHED_FIFO priority of a lane while it does reserved work or waits for work; 0: ordinary scheduling.
  int reserved_priority = 0;  // 0 … 99
  // The channel has 2 * lanes lanes then, and lane `lanes` + i is the urgent lane of lane i: on its cores,
  // always with this SCHED_FIFO priority.
  bool urgent_lanes = false;
  int urgent_priority = 0;  // 0: ordinary scheduling; or reserved_priority + 1 … 99
  int largest_batch = 1;    // 1 … kMaxBatch jobs run a block at once, at most
  int in_flight = 1;        // 1 … kMaxInFlight blocks a base lane has enqueued at a time, at most
  ByteCount memory{};       // of the device, for weights and jobs' states; zero: as much as there is
  // DaemonEnd's, and the arena in which grants name inputs. Sent as duplicates.
  UniqueFd down, up, doorbell, arena;

  int all_lanes() const { return urgent_lanes ? 2 * lanes : lanes; }
};

struct LoadModel {
  ModelId model;     // chosen by the daemon; < kMaxModels, not loaded on this worker
  std::string path;  // of the package: NAME.einet
};
inline constexpr std::uint32_t kMaxModels = 1024;

// Gives the model's memory back; nothing if it is not loaded. No lane has a grant for a job of it.
struct UnloadModel {
  ModelId model;  // < kMaxModels
};

// Writes the state of a job that stands before `next_block` into the memory, as LoadedModel::save_state does.
// Refused: the model is not loaded or has no such boundary, the slot holds no such state, a lane uses it, or
// the memory is sealed.
struct SaveState {
  JobId job;                   // not 0
  std::uint32_t job_slot = 0;  // < kMaxJobSlots
  ModelId model;               // < kMaxModels
  int next_block = 0;          // 1 … kMaxBlocks - 1
  UniqueFd memory;             // a memfd; its size becomes that of the state. Sent as a duplicate
};

// The opposite: then the job can be granted from `next_block` on, and whatever job the slot was for before is
// forgotten. Refused: the model is not loaded or has no such boundary, a lane uses the slot, the memory's
// size is not the state's or can still shrink (F_SEAL_SHRINK), or the device has no memory left.
struct LoadState {
  JobId job;  // all as in SaveState
  std::uint32_t job_slot = 0;
  ModelId model;
  int next_block = 0;
  UniqueFd memory;  // filled and sealed
};

struct Shutdown {};

using ToWorker = std::variant<Configure, LoadModel, UnloadModel, SaveState, LoadState, Shutdown>;

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

// What it takes to move a job at a boundary.
struct MoveTime {
  ByteCount bytes;       // of the state, as SaveState writes it; at most 1 GiB
  Duration out{}, in{};  // of SaveState and LoadState here, medians; >= 0
  friend bool operator==(const MoveTime&, const MoveTime&) = default;
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
  std::string doubt{};  // why they may not hold here, and what to do; "": no reason is known. Like version
  std::vector<double> accuracy;  // of each exit on held-out samples, in [0, 1]: one per block, or none
  ByteCount weights{};           // memory of the model in the worker, at most 1 TiB
  ByteCount state{};             // memory of one job's state there; the same
  // One per block, entry b at the boundary before block b, so the first is all zero; or none: not measured.
  std::vector<MoveTime> moves{};
  // Entry n - 1: how many times as long a block takes for n jobs at once as for one. At most kMaxBatch, from
  // 1 on, none less than the one before. None: jobs run one by one.
  std::vector<double> batch{};
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
  ByteCount lacks{};   // of the device's memory, which is the reason: so much at least; zero: another
};

struct ModelUnloaded {
  ModelId model;
};

// The answer to SaveState and LoadState.
struct StateMoved {
  JobId job;
  std::string problem{};       // "": done. Else it was refused: not to be trusted as text
  bool out_of_memory = false;  // the problem is that the device has no memory left for the state
};

enum class Severity : std::uint8_t { info, warning, error };

struct LogLine {
  Severity severity = Severity::info;
  std::string text;  // not to be trusted as text
};

using FromWorker = std::variant<Ready, ModelLoaded, ModelRefused, ModelUnloaded, StateMoved, LogLine>;

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
