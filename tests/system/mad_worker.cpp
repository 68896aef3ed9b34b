// A worker that misbehaves, as the name of the model that it gets says: "deadly" kills it while it is loaded,
// "wrong-block" makes it report a block that it was not told to run, "stuck" never finishes a block,
// "talks-nonsense" sends what is no control message. The real worker can do none of this.
#include <filesystem>
#include <map>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include "ipc/lane/control.h"
#include "ipc/lane/worker_end.h"

namespace einet::lane {
namespace {

ModelDescription description(const std::string& name) {
  const BlockTimes times{
      .trunk = {std::chrono::milliseconds(1), std::chrono::milliseconds(1), std::chrono::milliseconds(1)},
      .exit = {}};
  ModelDescription d;
  d.name = name;
  d.version = "1";
  d.digest = std::string(64, 'a');
  d.input = {1, 8, 8};
  d.blocks = 2;
  d.classes = 10;
  d.times = {times, times};
  d.accuracy = {0.5, 0.9};
  d.state = ByteCount{64};
  return d;
}

void run_madly(LaneEnd lane, const std::map<ModelId, std::string>& models) {
  while (const std::optional<GrantMessage> grant = lane.next_grant()) {
    const TimePoint now = lane.at_boundary().now;
    if (models.at(grant->model) == "stuck") ::pause();
    lane.report(
        BlockDone{.block = grant->first_block + 1, .start = now, .end = now, .answer = {}, .scores = {}},
        End::done);
  }
}

int run() {
  const int socket = 3;
  ControlSocket control{UniqueFd(socket)};
  const SystemClock clock;
  std::map<ModelId, std::string> models;
  std::optional<WorkerEnd> end;
  bool runs = false;
  for (ToWorker message;;) {
    const auto received = control.receive(message, Waiting::block);
    if (!received || *received != Received::message || std::holds_alternative<Shutdown>(message)) _exit(0);
    if (auto* configure = std::get_if<Configure>(&message)) {
      auto mapped =
          WorkerEnd::map(configure->down.get(), configure->up.get(), std::move(configure->doorbell));
      if (!mapped) _exit(1);
      end.emplace(std::move(*mapped));
      (void)control.send(FromWorker(Ready{}), Waiting::block);
    } else if (const auto* load = std::get_if<LoadModel>(&message)) {
      const std::string name = std::filesystem::path(load->path).stem();
      models.emplace(load->model, name);
      if (name == "deadly") _exit(3);
      if (name == "talks-nonsense") (void)::send(socket, "\xff\xff\xff", 3, 0);
      (void)control.send(FromWorker(ModelLoaded{load->model, description(name)}), Waiting::block);
      if (std::exchange(runs, true)) continue;
      std::thread([&] { run_madly(end->lane(0, clock), models); }).detach();  // the process ends by _exit
    }
  }
}

}  // namespace
}  // namespace einet::lane

int main() {
  return einet::lane::run();
}
