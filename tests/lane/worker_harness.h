// A real einet-worker process with its daemon's end: configured, loaded and given grants as einetd does it.
#pragma once

#include <array>
#include <chrono>
#include <filesystem>
#include <optional>
#include <poll.h>
#include <spawn.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ipc/lane/control.h"
#include "ipc/lane/daemon_end.h"
#include "synthetic_package.h"

namespace einet::lane {

inline constexpr std::size_t kArena = 1 << 16;

// A worker with its daemon's end.
class WorkerHarness {
 public:
  explicit WorkerHarness(const std::string& backend = "synthetic", int lanes = 2)
      : WorkerHarness([&] {
          Configure configure;
          configure.backend = backend;
          configure.lanes = lanes;
          return configure;
        }()) {}

  // Its descriptors are filled in here.
  explicit WorkerHarness(Configure configure) {
    auto end = DaemonEnd::create(configure.all_lanes());
    EXPECT_TRUE(end.has_value());
    channel.emplace(std::move(*end));
    auto memory = make_readable_by_others("arena", ByteCount{kArena});
    EXPECT_TRUE(memory.has_value());
    arena = std::move(*memory);
    auto pair = ControlSocket::make_pair();
    EXPECT_TRUE(pair.has_value());
    control = std::move(pair->first);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pair->second.get(), 50);
    std::array<const char*, 5> argv{"einet-worker", "--control-fd", "50", "cpu", nullptr};
    EXPECT_EQ(::posix_spawn(&pid, EINET_WORKER, &actions, nullptr, const_cast<char**>(argv.data()), environ),
              0);
    posix_spawn_file_actions_destroy(&actions);
    configure.down = UniqueFd(::dup(channel->down_fd()));
    configure.up = UniqueFd(::dup(channel->up_fd()));
    configure.doorbell = UniqueFd(::dup(channel->doorbell_fd()));
    configure.arena = UniqueFd(::dup(arena.fd.get()));
    send(std::move(configure));
  }

  ~WorkerHarness() {
    if (pid == 0) return;
    channel->close();
    send(Shutdown{});
    EXPECT_EQ(wait(), 0);
  }

  void send(ToWorker message) { EXPECT_TRUE(control.send(message, Waiting::block).has_value()); }

  template <class T>
  T receive() {
    FromWorker message;
    do {  // past what it says of this machine
      const auto received = control.receive(message, Waiting::block);
      EXPECT_TRUE(received.has_value()) << received.error().message;
      if (!received) break;
    } while (!std::is_same_v<T, LogLine> && std::holds_alternative<LogLine>(message));
    EXPECT_TRUE(std::holds_alternative<T>(message)) << "message " << message.index();
    return std::get<T>(std::move(message));
  }

  ModelDescription load(ModelId id, const std::filesystem::path& path) {
    send(LoadModel{id, path.string()});
    return receive<ModelLoaded>().description;
  }

  // Exit status, or minus the signal.
  int wait() {
    int status = 0;
    ::waitpid(std::exchange(pid, 0), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  // Drains until nothing is outstanding, asleep meanwhile.
  std::vector<Report> finish() {
    std::vector<Report> reports;
    for (;;) {
      channel->disarm();
      const auto drained = channel->drain(clock, [&](const Report& r) {
        reports.push_back(r);
        reports.back().scores = {};
      });
      EXPECT_TRUE(drained.has_value()) << drained.error().message;
      std::size_t outstanding = 0;
      for (int lane = 0; lane < channel->lanes(); ++lane) outstanding += channel->outstanding(lane);
      if (!drained || outstanding == 0) return reports;
      if (channel->arm() == Arm::reports_waiting) continue;
      pollfd doorbell{channel->doorbell_fd(), POLLIN, 0};
      if (::poll(&doorbell, 1, 60'000) != 1) {
        ADD_FAILURE() << "nobody rang";
        return reports;
      }
    }
  }

  SystemClock clock;
  std::optional<DaemonEnd> channel;
  SharedMemory arena;
  ControlSocket control;
  pid_t pid = 0;
};

inline test::SyntheticPackage small_package() {
  test::SyntheticPackage want;
  want.name = "small";
  want.trunk = {std::chrono::microseconds(50), std::chrono::microseconds(50), std::chrono::microseconds(50)};
  want.exit = {std::chrono::microseconds(10), std::chrono::microseconds(10), std::chrono::microseconds(10)};
  want.accuracy = {0.5, 0.75, 1.0};
  return want;
}

inline GrantMessage grant(std::uint64_t number, std::uint64_t job, int first_block, ExitMask exits) {
  GrantMessage message;
  message.number = GrantNumber{number};
  message.job = JobId{job};
  message.job_slot = static_cast<std::uint32_t>(job);
  message.blocks = 3;
  message.classes = 10;
  message.first_block = first_block;
  message.exits = exits;
  message.input_bytes = 64;
  return message;
}

}  // namespace einet::lane
