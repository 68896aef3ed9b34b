// Keeps one worker per device running: starts it, lets it load the models, gives its lanes to the driver, and
// when it dies, hangs or breaks the rules, takes them back and starts it again, each time a little later.
//
// Where a device's memory does not hold all models, those that are not needed are evicted for those that are:
// a model is needed while jobs or tasks of it are there. Of the others the one that was needed least recently
// goes first.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "daemon/einetd/arena.h"
#include "daemon/einetd/catalog.h"
#include "daemon/einetd/driver.h"
#include "daemon/einetd/rank.h"
#include "daemon/einetd/worker_process.h"

namespace einet {

// As status shows it.
struct WorkerView {
  pid_t pid = 0;              // 0: none runs
  int restarts = 0;           // since the daemon started
  std::string rank{};         // of its lanes: "nice 0", or "nice 0/fifo 3" for ordinary and reserved work
  std::string urgent_rank{};  // of its urgent lanes
  std::vector<std::string>
      warnings{};  // why it does not run or is unhealthy, or cannot preempt as configured
};

// One thread: the io_context's.
class Supervisor {
 public:
  struct Parts {
    boost::asio::io_context& io;
    const Clock& clock;
    const DaemonConfig& config;
    const Rank& rank;
    const DaemonCores& cores;
    const Arena& arena;
    Catalog& catalog;
    Driver& driver;
    Tasks& tasks;
    Log& log;
    std::filesystem::path worker;  // the program
  };
  // All parts must outlive it. `on_settled` is called once: every device's worker has loaded what it can, or
  // has failed to start.
  Supervisor(Parts, std::function<void()> on_settled);
  ~Supervisor();

  void start();
  // A worker broke the rules of its channel: log, kill, start again.
  void broken(DeviceId, const std::string& why);
  // Starts every worker again, so that packages are read again. Jobs in progress begin again.
  void reload();
  // Lets the workers end, kills those that do not; then calls `done`.
  void shutdown(std::function<void()> done);

  // Some model is needed now that was not, or the opposite. Driver::Calls has these two.
  void use_changed();
  bool make_room(DeviceId, TimePoint granted);

  WorkerView view(DeviceId) const;
  // Of models from devices that serve, since the daemon started.
  std::uint64_t evictions() const { return evictions_; }

 private:
  enum class State : std::uint8_t { down, starting, loading, up, ending };
  // For how long a lane has been at one thing.
  struct Patience {
    std::optional<TimePoint> running;  // its block, by when that began; empty: none runs
    TimePoint since = kNever;          // the block's begin, or since when work waits that it has not begun
    Duration stood_still{};            // at that time, all in all, so that its urgent lane could run
  };
  // A model that cannot be loaded before others have left the device's memory.
  struct Lack {
    ModelId model;
    ByteCount bytes;
    std::string reason;
  };
  struct Worker {
    DeviceId device;
    State state = State::down;
    std::unique_ptr<WorkerProcess> process;
    // Waiting on the process's descriptors; gone before they are.
    std::unique_ptr<boost::asio::posix::stream_descriptor> death, control, doorbell;
    std::unique_ptr<boost::asio::steady_timer> restart;
    std::string complaint;        // the last error that it spoke of since it was started
    std::size_t answered = 0;     // models loaded, refused or passed over since it was started
    std::vector<ModelId> deadly;  // models that killed it while it loaded them: not tried again
    // One of these at a time, since `asked_at`.
    std::optional<ModelId> loads, unloads;
    TimePoint asked_at{};
    TimePoint freed_at{};  // when it last gave a model's memory back
    std::optional<Lack> lack;
    std::optional<ModelId> started_for;  // for memory; until that model is loaded or refused
    std::vector<bool> holds;             // by ModelId: its process does
    std::vector<Residence> residence;    // by ModelId: as the core knows it
    lane::Places places = lane::Places::missing;
    TimePoint heard{};  // when it last said something; for its start
    TimePoint up_since{};
    std::vector<Patience> patience;  // by lane
    Duration delay{};                // before the next restart
    int deaths = 0;                  // in a row: without having run well in between
    std::string last_death;          // how, for people
    int starts = 0;
    bool settled = false;
  };

  void start(Worker&);
  void wait_death(Worker&);
  void wait_control(Worker&);
  void wait_doorbell(Worker&);
  void take(Worker&, lane::FromWorker&);
  void take(Worker&, const lane::LogLine&);
  // What a worker that died has said of it and nobody has read. Its answers are worth nothing any more.
  void take_last_words(Worker&);
  // Asks for the next model that its device's memory should take in or give up, one at a time.
  void tend(Worker&);
  std::optional<ModelId> next_to_load(Worker&);
  std::optional<ModelId> to_evict(const Worker&, ByteCount least) const;
  bool is_needed(ModelId) const;
  // Of the models of which f(ModelId) is true, the one whose use changed longest ago.
  template <class F>
  std::optional<ModelId> longest_so(F&& f) const;
  void ask(Worker&, std::optional<ModelId>& what, ModelId, lane::ToWorker);
  void load(Worker&, ModelId);
  void unload(Worker&, ModelId);
  void evict(Worker&, ModelId, const std::string& for_what);
  void answered(Worker&, lane::ModelLoaded&);
  void answered(Worker&, const lane::ModelRefused&);
  void answered(Worker&, const lane::ModelUnloaded&);
  Result<void> accept(Worker&, ModelId, lane::ModelDescription);
  void set_residence(Worker&, ModelId, Residence);
  void forget_evictions(Worker&);
  void refuse(Worker&, ModelId, const std::string& reason, Residence = Residence::lost);
  void went_up(Worker&);
  void died(Worker&);
  void restart_later(Worker&);
  void settle(Worker&);
  void start_again(Worker&);
  void end(Worker&);
  void kill(Worker&, const std::string& why);
  void check_hangs();
  bool hangs(Worker&, TimePoint now);
  bool hangs(Worker&, int lane, TimePoint now, Duration limit);
  // Whether it has been up for so long that its last failure is forgotten.
  bool runs_well(const Worker&) const;
  // Whether it has urgent lanes that work as they should.
  bool preempts(const Worker&) const;
  const std::string& device_name(const Worker& w) const { return parts_.config.devices[w.device.value].name; }

  Parts parts_;
  std::function<void()> on_settled_;
  std::vector<Worker> workers_;  // by DeviceId; never resized after construction
  boost::asio::steady_timer hang_timer_;
  boost::asio::steady_timer end_timer_;
  std::size_t evicted_ = 0;  // models, from all devices, now
  std::uint64_t evictions_ = 0;
  bool looks_ = false;          // at what is needed, soon
  std::function<void()> done_;  // set: shutting down
};

}  // namespace einet
