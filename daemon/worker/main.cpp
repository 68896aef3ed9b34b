// einet-worker: runs the blocks of one device for einetd, in a process of its own. Started by einetd; by hand
// it only measures packages.
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <vector>

#include "config/text.h"
#include "daemon/worker/profile.h"
#include "daemon/worker/worker.h"

namespace {

constexpr const char* kUsage =
    "einet-worker runs the blocks of one device's networks for einetd, in a process of its own.\n"
    "einetd starts it. To see its lanes: einet status\n"
    "\n"
    "usage: einet-worker --control-fd N [NAME]   (einetd's way)\n"
    "       einet-worker --profile [--device DEVICE] PACKAGE…      (yours)\n"
    "  --control-fd N      the inherited descriptor of the control socket\n"
    "  NAME                of the device, shown by ps\n"
    "  --profile PACKAGE…  measure the blocks of these packages on this machine and write the times into "
    "them; do\n"
    "                      so once on the machine that will run them\n"
    "  --device DEVICE     what to measure: cpu (the default) or cuda:N\n";

int wrong_usage(const std::string& words) {
  std::fprintf(stderr, "einet-worker: %s\n%s", words.c_str(), kUsage);
  return 2;
}

// -1: not a control socket.
int control_socket(std::string_view text) {
  int fd = -1;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), fd);
  if (failure != std::errc() || end != text.data() + text.size() || fd < 0) return -1;
  int type = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET) return -1;
  return fd;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && (std::strcmp(argv[1], "--help") == 0 || std::strcmp(argv[1], "-h") == 0)) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  if (argc < 2) return wrong_usage("einetd starts this program; by hand it takes --profile");
  if (std::strcmp(argv[1], "--profile") == 0) {
    const bool named = argc > 2 && std::strcmp(argv[2], "--device") == 0;
    if (argc < (named ? 5 : 3)) return wrong_usage("--profile needs a package");
    return einet::profile_packages(named ? argv[3] : "cpu",
                                   std::vector<std::filesystem::path>(argv + (named ? 4 : 2), argv + argc));
  }
  if (std::strcmp(argv[1], "--control-fd") != 0) {
    return wrong_usage("found \"" + einet::escape(argv[1]) + "\"; expected --control-fd or --profile");
  }
  if (argc < 3 || argc > 4) return wrong_usage("--control-fd takes N, and a NAME behind it or nothing");
  const int fd = control_socket(argv[2]);
  if (fd < 0) {
    std::fprintf(stderr,
                 "einet-worker: --control-fd %s is not a control socket; einetd starts this program\n",
                 einet::escape(argv[2]).c_str());
    return 2;
  }
  // It lives as long as its daemon, and ends when the daemon says so: signals to the whole group are the
  // daemon's business, which may still have jobs to finish.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::signal(SIGTERM, SIG_IGN);
  std::signal(SIGINT, SIG_IGN);
  // Threads inherit it: a lane that sleeps wakes when it is told to, not up to 50 us later.
  ::prctl(PR_SET_TIMERSLACK, 1);
  return einet::run_worker(einet::lane::ControlSocket(einet::UniqueFd(fd)));
}
