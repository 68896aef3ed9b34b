#include "daemon/einetd/daemon.h"

#include <csignal>
#include <memory>
#include <sys/resource.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "daemon/einetd/arena.h"
#include "daemon/einetd/catalog.h"
#include "daemon/einetd/driver.h"
#include "daemon/einetd/intake.h"
#include "daemon/einetd/listener.h"
#include "daemon/einetd/log.h"
#include "daemon/einetd/rank.h"
#include "daemon/einetd/sessions.h"
#include "daemon/einetd/status.h"
#include "daemon/einetd/supervisor.h"
#include "daemon/einetd/trace.h"
#include "daemon/einetd/version.h"

namespace einet {
namespace {

using boost::system::error_code;

TraceNames names_of(const DaemonConfig& config, const Catalog& catalog) {
  TraceNames names;
  for (const TenantConfig& t : config.tenants) names.tenants.push_back(t.name);
  for (std::uint32_t m = 0; m < catalog.size(); ++m) names.models.push_back(catalog.model(ModelId{m}).name);
  for (const DeviceConfig& d : config.devices)
    names.devices.insert(names.devices.end(), d.all_lanes(), d.name);
  return names;
}

TraceHeader header_of(const DaemonConfig& config, TimePoint at) {
  TraceHeader header{.at = at,
                     .version = std::string(kVersion),
                     .policy = config.policy,
                     .max_jobs = static_cast<std::size_t>(config.limits.jobs),
                     .promote_at_laxity = config.promote_at_laxity,
                     .devices = {}};
  for (const DeviceConfig& d : config.devices) header.devices.push_back({d.name, d.lanes});
  return header;
}

std::vector<int> lane_cores(const DaemonConfig& config) {
  std::vector<int> out;
  for (const DeviceConfig& d : config.devices) out.insert(out.end(), d.cores.begin(), d.cores.end());
  return out;
}

// Each region of a client is a descriptor, and the usual limit is for programs that use select().
void allow_all_files() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

class Daemon {
 public:
  Daemon(const DaemonConfig& config, boost::asio::io_context& io, std::unique_ptr<Listener> listener,
         std::filesystem::path worker, Catalog catalog, std::unique_ptr<Arena> arena,
         std::unique_ptr<Trace> trace)
      : config_(config),
        io_(io),
        log_(config.log_level),
        rank_(take_daemon_rank()),
        cores_(lane_cores(config)),
        catalog_(std::move(catalog)),
        arena_(std::move(arena)),
        trace_(std::move(trace)),
        tenants_(config),
        driver_({io_, clock_, config_, catalog_, sessions_, statistics_, log_, trace_.get()},
                {.broken = [this](DeviceId d, const std::string& why) { supervisor_.broken(d, why); },
                 .use_changed = [this] { supervisor_.use_changed(); },
                 .make_room = [this](DeviceId d,
                                     TimePoint granted) { return supervisor_.make_room(d, granted); }}),
        tasks_({config_, catalog_, driver_, statistics_, log_, [this] { supervisor_.use_changed(); }}),
        intake_(catalog_, tasks_, tenants_, *arena_),
        supervisor_({io_, clock_, config_, rank_, cores_, *arena_, catalog_, driver_, tasks_, log_,
                     std::move(worker)},
                    [this] { serve(); }),
        status_({clock_, config_, rank_, catalog_, tenants_, tasks_, intake_, *arena_, driver_, supervisor_,
                 [this] { return sessions_.size(); }}),
        desk_{io_, clock_, config_, tenants_, intake_, driver_, tasks_, status_, log_, Desk::Open::yes},
        listener_(std::move(listener)),
        signals_(io_),
        drain_(io_) {}

  void run() {
    if (trace_) {
      trace_->set_names(names_of(config_, catalog_));
      trace_->when_broken([this](const std::string& why) { log_.error("trace ended", {{"reason", why}}); });
      trace_->add_line(format_header(header_of(config_, clock_.now())));
    }

    log_.info("started", {{"version", kVersion},
                          {"policy", config_.policy},
                          {"rank", rank_.words},
                          {"cores", cores_.words()},
                          {"models", catalog_.size()}});
    for (const std::string& words : config_.warnings) log_.warn(words);
    if (!rank_.warning.empty()) log_.warn(rank_.warning);

    std::signal(SIGPIPE, SIG_IGN);  // nobody reading the log is no reason to end
    error_code ignored;             // both are signals that can be caught
    signals_.add(SIGTERM, ignored);
    signals_.add(SIGINT, ignored);
    signals_.add(SIGHUP, ignored);
    wait_signal();
    supervisor_.start();
    io_.run();
    // Handlers that wait still hold sessions, and those hold quota: let them go before their parts do.
    io_.restart();
    io_.poll();
    log_.info("ended");
  }

 private:
  void wait_signal() {
    signals_.async_wait([this](error_code ended, int signal) {
      if (ended) return;
      if (signal == SIGHUP) {
        if (ending_ == Ending::no) supervisor_.reload();
        return wait_signal();
      }
      if (desk_.open == Desk::Open::yes) {
        drain(signal);
        wait_signal();
      } else {
        end_jobs();  // asked twice: at once
      }
    });
  }

  // Clients wait until it is known what every worker can run: nobody sees a daemon that does not know its
  // models.
  void serve() {
    tasks_.open();
    if (!listener_) return;  // it ends already
    listener_->accept([this](UniqueFd socket, uid_t user) { sessions_.add(desk_, std::move(socket), user); });
    log_.info("ready", {{"socket", config_.socket.string()}});
  }

  // No new jobs; those in progress may go on for a while, and clients may still look at them.
  void drain(int signal) {
    log_.info("draining", {{"signal", signal}, {"jobs", driver_.jobs()}, {"for", config_.drain}});
    desk_.open = Desk::Open::draining;
    drain_until_ = clock_.now() + config_.drain;
    wait_for_jobs();
  }

  // Jobs end one by one; looking now and then is all that the end of a daemon needs.
  void wait_for_jobs() {
    if (driver_.jobs() == 0) return end();
    if (clock_.now() >= drain_until_) return end_jobs();
    drain_.expires_after(kLookEvery);
    drain_.async_wait([this](error_code cancelled) {
      if (!cancelled) wait_for_jobs();
    });
  }

  void end_jobs() {
    driver_.cancel_all();
    driver_.pump();
    // Their outcomes are out; what the lanes still hold goes with the workers.
    end();
  }

  void end() {
    if (ending_ == Ending::yes) return;
    ending_ = Ending::yes;
    listener_.reset();
    drain_.cancel();
    supervisor_.shutdown([this] {
      sessions_.end_all("the daemon ends");
      signals_.cancel();
      boost::asio::post(io_, [this] { io_.stop(); });
    });
  }

  static constexpr auto kLookEvery = std::chrono::milliseconds(10);
  enum class Ending : std::uint8_t { no, yes };

  const DaemonConfig& config_;
  boost::asio::io_context& io_;
  SystemClock clock_;
  Log log_;
  Rank rank_;
  DaemonCores cores_;
  Catalog catalog_;
  std::unique_ptr<Arena> arena_;
  std::unique_ptr<Trace> trace_;
  Tenants tenants_;
  TaskStatistics statistics_;
  Sessions sessions_;
  Driver driver_;
  Tasks tasks_;
  Intake intake_;
  Supervisor supervisor_;
  StatusView status_;
  Desk desk_;
  std::unique_ptr<Listener> listener_;
  boost::asio::signal_set signals_;
  boost::asio::steady_timer drain_;
  TimePoint drain_until_{};
  Ending ending_ = Ending::no;
};

}  // namespace

Result<void> run_daemon(const DaemonConfig& config, const std::filesystem::path& worker) {
  allow_all_files();
  // The socket first: where another daemon listens on it, nothing that is that one's may be touched.
  boost::asio::io_context io{1};
  Result<std::unique_ptr<Listener>> listener = Listener::open(io, config.socket, config.socket_mode);
  if (!listener) return listener.error();
  std::vector<int> in_flight;
  for (const DeviceConfig& device : config.devices) in_flight.push_back(device.in_flight);
  Result<Catalog> catalog = Catalog::scan(config.models, in_flight, config.planner.expect);
  if (!catalog) return catalog.error();
  Result<std::unique_ptr<Arena>> arena = Arena::create(config.limits.arena);
  if (!arena) return arena.error();
  std::unique_ptr<Trace> trace;
  if (!config.trace.empty()) {
    Result<std::unique_ptr<Trace>> opened = Trace::open(config.trace);
    if (!opened) return opened.error();
    trace = std::move(*opened);
  }
  Daemon(config, io, std::move(*listener), worker, std::move(*catalog), std::move(*arena), std::move(trace))
      .run();
  return {};
}

}  // namespace einet
