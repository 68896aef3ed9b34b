// The client library: submit inference jobs to einetd and get their answers. Used by `einet`, the demo and
// programs of others. No exceptions, no threads of its own, no global state.
//
// Synchronous use:                                    Asynchronous use, in any event loop:
//   auto client = Client::connect(path, {});            auto ticket = client->post(job, handlers);
//   auto ended = client->run(job, {}, timeout);         … when client->fd() is ready: client->process();
//
// Thread rule: a Client belongs to one thread at a time. Handlers are called from within process() and the
// calls that wait (submit, run, wait, wait_any, list…), on the caller's thread; a handler may call post(),
// post_cancel() and read-only members, and nothing else of the same Client.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "config/bytes.h"
#include "config/ids.h"
#include "config/result.h"
#include "config/time.h"
#include "config/unique_fd.h"
#include "ipc/client/protocol.pb.h"

namespace einet::client {

inline constexpr std::string_view kDefaultSocket = "/run/einetd/socket";
inline constexpr Duration kDefaultTimeout = std::chrono::seconds(5);

struct Options {
  std::string name = "client";         // for the daemon's log
  std::string tenant;                  // one of those this user may act as; empty: the first
  Duration timeout = kDefaultTimeout;  // for connecting, HELLO included
};

// --- What to run. ---

// An instant, or a time after another one.
using When = std::variant<Duration, TimePoint>;

// Input bytes sent along; copied by post().
struct InlineInput {
  std::span<const std::byte> bytes;
};

// Input bytes in a region of this client (Client::register_region). They must stay as they are until the job
// is accepted.
struct RegionInput {
  std::uint32_t region = 0;
  std::uint64_t offset = 0;  // bytes; a multiple of the element size
  std::uint64_t length = 0;  // bytes
};

// Which exits a job executes.
struct ExitChoice {
  wire::PlanMode mode = wire::EXACT;
  ExitMask exits = 0;  // with ALL: only these; 0: every exit
};

struct JobRequest {
  std::string model;  // may be empty with a task
  wire::DataType dtype = wire::U8;
  std::vector<std::uint32_t> shape;  // channels, height, width; as the model says
  std::variant<InlineInput, RegionInput> input;
  When release = Duration{};               // a duration counts from the daemon's receipt
  std::optional<When> deadline;            // a duration counts from the release; absent: none
  int priority = 0;                        // larger is more urgent
  std::optional<int> mandatory_exit;       // absent: any answer will do
  std::optional<float> target_confidence;  // in (0, 1]; absent: never stop early
  wire::PlanMode plan = wire::EXACT;
  ExitMask exits = 0;  // as in ExitChoice
  // One of the tenant's tasks, by name: deadline, priority and mandatory exit are then its, and absent here.
  std::string task;
};

// A task to be promised to: recurring jobs of one model.
struct TaskRequest {
  std::string name;  // [A-Za-z0-9_.-]{1,64}, unique among the tenant's tasks
  std::string model;
  Duration period{};                  // > 0; least time between two releases
  std::optional<Duration> deadline;   // after each release; absent: the period
  int priority = 0;                   // larger is more urgent
  std::optional<int> mandatory_exit;  // the exit whose answer is promised; absent: the first
};

// --- What comes back. ---

struct Answer {
  int exit = 0;
  int top_class = 0;
  float confidence = 0;       // in [0, 1]
  std::vector<float> scores;  // one per class
  TimePoint ready{};          // when the lane had it
};

// The one final outcome of a posted job. All times are CLOCK_MONOTONIC.
struct Ended {
  JobId job;  // 0: never accepted
  wire::OutcomeKind outcome = wire::OUTCOME_UNSPECIFIED;
  std::string reason;          // stable name: "plan_finished", "quota_jobs", "connection_lost", …
  std::string words;           // for people; may be empty
  std::optional<Answer> best;  // the answer of the last exit that was executed
  int preemptions = 0;
  TimePoint received{};  // these four by the daemon
  TimePoint released{};
  std::optional<TimePoint> first_block;  // absent: it never ran
  TimePoint finished{};
  std::optional<TimePoint> deadline;
  Duration lane_time{};
  ExitMask executed_exits = 0;
};

// Either may be empty. Both are called at most with what their names say; `ended` exactly once per posted
// job.
struct Handlers {
  std::function<void(JobId, const Answer&)> exit;
  std::function<void(const Ended&)> ended;
};

// A posted job, before and after it has a JobId. Never reused by one Client.
using Ticket = Id<struct TicketTag, std::uint64_t>;

// What submit() gives: the accepted job, or why not.
struct Submission {
  Ticket ticket;
  JobId job;                      // 0 when rejected
  std::optional<Ended> rejected;  // outcome REJECTED with reason and words
};

// Shared memory that the daemon can read inputs from. Unmapped with this object; registered until the
// connection ends or unregister_region().
class Region {
 public:
  Region(Region&&) noexcept;
  Region& operator=(Region&&) noexcept;
  ~Region();

  std::uint32_t id() const { return id_; }
  std::span<std::byte> bytes() const { return bytes_; }

 private:
  friend class Client;
  Region(std::uint32_t id, std::span<std::byte> bytes) : id_(id), bytes_(bytes) {}
  std::uint32_t id_ = 0;
  std::span<std::byte> bytes_;
};

class Client {
 public:
  // Connects and says HELLO. Error: the daemon is unreachable, has no common version, or refuses the tenant;
  // the words say what to do.
  static Result<Client> connect(const std::filesystem::path& socket, const Options& options);
  // The same over a socket that is connected already.
  static Result<Client> adopt(UniqueFd socket, const Options& options);

  // Sends what is queued as far as the socket takes it, and closes. The daemon cancels unfinished jobs.
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  // What the daemon said in HELLO: version, tenant, limits.
  const wire::HelloReply& hello() const;

  // False once the connection is lost; why_lost() then says how. Every later call fails with these words, and
  // every posted job has ended with outcome FAILED, reason "connection_lost".
  bool connected() const;
  std::string why_lost() const;

  // --- Asynchronous: never blocks. ---

  // Sends a job, or queues it while the socket is full. `handlers.ended` is called exactly once, a rejection
  // or a lost connection included; without that handler the outcome is kept until wait() fetches it.
  // Exit results are sent by the daemon only if `handlers.exit` is there. Error: nothing was sent, because
  // the connection is lost, or the input is larger than HELLO's limit.
  Result<Ticket> post(const JobRequest& job, Handlers handlers);
  // Asks for a job's end; its outcome says whether that came in time. Nothing happens if it has ended.
  void post_cancel(Ticket ticket);

  int fd() const;
  // True: wait for fd() to be writable too.
  bool wants_write() const;
  // Reads and sends what is possible without waiting, and calls handlers. Error: the connection is lost; the
  // handlers of all posted jobs have been called.
  Result<void> process();

  // Posted jobs that have not ended.
  std::size_t pending() const;

  // --- Synchronous: each waits at most `timeout` and calls handlers meanwhile. ---
  // Error: connection lost, the daemon's refusal in its words, or no reply in time (the connection stays).

  // Posts a job and waits until it is accepted or rejected. A rejection is in the result; handlers.ended is
  // called only for an accepted job. After an error the job is cancelled and its handlers are not called.
  Result<Submission> submit(const JobRequest& job, Handlers handlers, Duration timeout = kDefaultTimeout);
  // Waits for the outcome. Error also: unknown ticket, or one whose outcome was handed out already.
  Result<Ended> wait(Ticket ticket, Duration timeout);
  // post() and wait(). Not ended in time: the job is cancelled. A lost connection is an outcome here and in
  // wait(), not an error.
  Result<Ended> run(const JobRequest& job, std::function<void(JobId, const Answer&)> exit, Duration timeout);
  // One round of process(): returns at the first thing that happened, or after `timeout`.
  Result<void> wait_any(Duration timeout);

  Result<void> cancel(JobId job, Duration timeout = kDefaultTimeout);
  // From now on `handler` gets events of this tenant's jobs (root: of all). At most once per connection.
  enum class Watch { jobs, jobs_and_blocks };
  Result<void> watch(Watch what, std::function<void(const wire::Event&)> handler,
                     Duration timeout = kDefaultTimeout);
  enum class Jobs { only, with_plans };  // with what their plans rest on
  Result<wire::JobList> jobs(Duration timeout = kDefaultTimeout, Jobs what = Jobs::only);
  Result<wire::ModelList> models(Duration timeout = kDefaultTimeout);
  Result<wire::Status> status(Duration timeout = kDefaultTimeout);

  // An accepted task outlives this client. If a device has evicted the model, the reply comes once it is
  // back: where that takes longer than `timeout`, the task may be accepted later; remove_task takes it back.
  using TaskReply = std::variant<wire::TaskAdded, wire::TaskRefused>;
  Result<TaskReply> add_task(const TaskRequest& task, Duration timeout = kDefaultTimeout);
  Result<void> remove_task(const std::string& name, Duration timeout = kDefaultTimeout);
  Result<wire::TaskList> tasks(Duration timeout = kDefaultTimeout);

  Result<Region> register_region(ByteCount size, Duration timeout = kDefaultTimeout);
  Result<void> unregister_region(Region region, Duration timeout = kDefaultTimeout);

 private:
  class Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// "exact", "all", "last", or the exits of a static plan with commas between them: "0,2". Error: other text.
Result<ExitChoice> parse_plan(std::string_view text);

// "completed", "deadline", "missed", "cancelled", "rejected", "failed".
std::string_view name(wire::OutcomeKind kind);
// "unknown_model", "quota_jobs", …
std::string_view name(wire::Rejected::Reason reason);
// "not_schedulable", "name_taken", …
std::string_view name(wire::TaskRefused::Reason reason);

}  // namespace einet::client
