#include "config/daemon_config.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <pwd.h>
#include <sched.h>
#include <set>
#include <sys/resource.h>
#include <sys/un.h>

#include "config/device_name.h"
#include "config/files.h"
#include "config/ranks.h"
#include "config/text.h"
#include "config/toml_reader.h"

namespace einet {
namespace {

constexpr std::array<std::string_view, 4> kPolicies{"edf", "fixed-priority", "fifo", "imprecise"};
constexpr std::array<std::string_view, 6> kLogLevels{"trace", "debug", "info", "warn", "error", "off"};
constexpr std::array<std::string_view, 4> kBackends{"onednn", "synthetic", "synthetic-gpu",
                                                    "cuda"};  // as BackendKind
constexpr std::array<std::string_view, 3> kPreemptions{"boundary", "as-needed", "instant"};
constexpr std::array<std::string_view, 3> kExpectations{"lookalikes", "predictor", "statistics"};
constexpr std::array<std::string_view, 3> kSurvivalParts{"deadline", "demand", "lived"};
constexpr int kMaxLanes = 64;
constexpr double kLeastWeight = 1e-3;
constexpr Duration kShortest = std::chrono::milliseconds(1);
constexpr int kMaxCore = 4095;
constexpr std::uint64_t kOwnFiles = 256;     // for all but clients and their regions, generously
constexpr ByteCount kMaxMessage{16u << 20};  // of the protocol

bool is_name(std::string_view text) {
  const auto ok = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == ':';
  };
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), ok);
}
constexpr std::string_view kNameForm = "1 to 64 letters, digits or _-.:";

std::string found(std::string_view text) {
  return "found \"" + escape(text, 60) + "\"; expected ";
}

unsigned read_mode(TomlTable& root, unsigned fallback) {
  const std::string text = root.text("socket_mode", "");
  if (!root.has("socket_mode")) return fallback;
  const bool octal = text.size() >= 3 && text.size() <= 4 &&
                     std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '7'; });
  const unsigned mode = octal ? static_cast<unsigned>(std::stoul(text, nullptr, 8)) : ~0u;
  if (mode <= 0777) return mode;
  root.fail("socket_mode", found(text) + "three octal digits, such as \"0660\"");
  return fallback;
}

int read_int(TomlTable& table, std::string_view key, int min, int max, int fallback) {
  return static_cast<int>(table.integer(key, min, max, fallback));
}

ByteCount read_bytes(TomlTable& table, std::string_view key, ByteCount min, ByteCount fallback) {
  const ByteCount n = table.bytes(key, fallback);
  if (n < min) table.fail(key, "found " + format_bytes(n) + "; expected at least " + format_bytes(min));
  return n;
}

// "20ms/100ms"; empty: none.
std::optional<BudgetConfig> read_budget(TomlTable& table) {
  constexpr const char* kKey = "budget";
  const std::string text = table.text(kKey, "");
  if (text.empty()) return std::nullopt;
  const std::size_t slash = text.find('/');
  const Result<Duration> amount = parse_duration(text.substr(0, slash));
  const Result<Duration> period = parse_duration(slash == std::string::npos ? "" : text.substr(slash + 1));
  if (!amount || !period || *amount == Duration{0} || *amount > *period) {
    table.fail(kKey,
               found(text) + "an amount above 0 and a period that is not shorter, such as \"20ms/100ms\"");
    return std::nullopt;
  }
  return BudgetConfig{*amount, *period};
}

class Reader {
 public:
  Reader(std::filesystem::path folder, const Machine& machine)
      : folder_(std::move(folder)), machine_(machine) {}

  DaemonConfig read(TomlTable root) {
    DaemonConfig c;
    c.socket = path(root, "socket", c.socket);
    if (c.socket.empty()) root.fail("socket", "found \"\"; expected the path of the socket");
    if (c.socket.native().size() >= sizeof(sockaddr_un::sun_path)) {
      root.fail("socket", "the path has " + std::to_string(c.socket.native().size()) + " bytes; at most " +
                              std::to_string(sizeof(sockaddr_un::sun_path) - 1) + " are allowed");
    }
    c.socket_mode = read_mode(root, c.socket_mode);
    c.models = path(root, "models", c.models);
    c.policy = root.choice("policy", kPolicies, c.policy);
    c.promote_at_laxity = root.duration("promote_at_laxity", Duration{0}, c.promote_at_laxity);
    c.drain = root.duration("drain", Duration{0}, c.drain);
    c.log_level = root.choice("log_level", kLogLevels, c.log_level);
    c.trace = path(root, "trace", c.trace);
    read_limits(root.table("limits"), c.limits);
    check_files(c);
    read_worker(root.table("worker"), c.worker);
    read_admission(root.table("admission"), c.admission);
    read_planner(root.table("planner"), c.planner);
    read_devices(root, c);
    read_tenants(root, c);
    root.close();
    // Last, for a misspelt [[device]] is an unknown key, and that says more.
    if (c.devices.empty()) {
      root.fail("device", "no device; write at least [[device]] with a line such as: name = \"cpu\"");
    }
    return c;
  }

 private:
  std::filesystem::path path(TomlTable& table, std::string_view key, const std::filesystem::path& fallback) {
    const std::string text = table.text(key, fallback.string());
    if (text.find('\0') != std::string::npos) table.fail(key, found(text) + "a path");
    return text.empty() ? std::filesystem::path() : (folder_ / text).lexically_normal();
  }

  void read_limits(TomlTable table, LimitsConfig& l) {
    l.connections = read_int(table, "connections", 1, 4096, l.connections);
    l.hello = table.duration("hello", kShortest, l.hello);
    l.jobs = read_int(table, "jobs", 1, 65536, l.jobs);
    l.arena = read_bytes(table, "arena", ByteCount{4096}, l.arena);
    l.message = read_bytes(table, "message", ByteCount{1024}, l.message);
    if (l.message > kMaxMessage) {
      table.fail("message",
                 "found " + format_bytes(l.message) + "; expected at most " + format_bytes(kMaxMessage));
    }
    l.region = read_bytes(table, "region", ByteCount{1}, l.region);
    l.regions = read_int(table, "regions", 0, 1024, l.regions);
    l.write_queue = read_bytes(table, "write_queue", ByteCount{1024}, l.write_queue);
    table.close();
  }

  // A connection is a descriptor, and so is each of its regions.
  void check_files(DaemonConfig& c) {
    const LimitsConfig& l = c.limits;
    const auto needed = static_cast<std::uint64_t>(l.connections) * static_cast<std::uint64_t>(1 + l.regions);
    if (needed + kOwnFiles <= machine_.files) return;
    c.warnings.push_back(
        std::to_string(l.connections) + " connections with " + std::to_string(l.regions) +
        " regions each are " + std::to_string(needed) + " file descriptors, and " +
        std::to_string(kOwnFiles) + " are the daemon's own; this process may open " +
        std::to_string(machine_.files) +
        ": clients will be refused before their limits; raise it (LimitNOFILE=, `ulimit -n`), "
        "or lower limits.connections or limits.regions");
  }

  void read_worker(TomlTable table, WorkerConfig& w) {
    w.path = path(table, "path", w.path);
    w.restart_delay = table.duration("restart_delay", kShortest, w.restart_delay);
    w.restart_delay_max = table.duration("restart_delay_max", kShortest, w.restart_delay_max);
    if (w.restart_delay_max < w.restart_delay) {
      table.fail("restart_delay_max", "found " + format_duration(w.restart_delay_max) +
                                          "; expected at least restart_delay, " +
                                          format_duration(w.restart_delay));
    }
    w.hang = table.duration("hang", kShortest, w.hang);
    table.close();
  }

  void read_admission(TomlTable table, AdmissionConfig& a) {
    a.margin = table.number("margin", 1, 100, a.margin);
    a.overhead = table.duration("overhead", Duration{0}, a.overhead);
    table.close();
  }

  void read_planner(TomlTable table, PlannerConfig& p) {
    p.expect = table.choice("expect", kExpectations, p.expect);
    if (table.has("survival")) p.survival = table.choices("survival", kSurvivalParts);
    const auto has = [&](const char* part) {
      return std::find(p.survival.begin(), p.survival.end(), part) != p.survival.end();
    };
    if (has("demand") && !has("deadline")) {
      table.fail("survival", "\"demand\" is time taken from what a deadline leaves; add \"deadline\"");
    }
    table.close();
  }

  void read_devices(TomlTable& root, DaemonConfig& c) {
    std::set<int> pinned;
    int threads = 0;
    for (TomlTable table : root.tables("device")) {
      DeviceConfig d;
      d.name = table.text("name");
      if (!is_name(d.name)) table.fail("name", found(d.name) + std::string(kNameForm));
      if (std::any_of(c.devices.begin(), c.devices.end(), [&](const auto& o) { return o.name == d.name; })) {
        table.fail("name", "a second device \"" + d.name + "\"; names are unique");
      }
      const auto backend =
          std::find(kBackends.begin(), kBackends.end(), table.choice("backend", kBackends, "onednn"));
      d.backend = static_cast<BackendKind>(backend - kBackends.begin());
      d.lanes = read_int(table, "lanes", 1, kMaxLanes, d.lanes);
      d.threads = read_int(table, "threads", 1, kMaxThreads, d.threads);
      d.memory = table.bytes("memory", d.memory);
      d.batch = read_int(table, "batch", 1, kMaxBatch, d.batch);
      d.in_flight = read_int(table, "in_flight", 1, kMaxInFlight, d.in_flight);
      read_cores(table, d, pinned, c.warnings);
      if (d.backend == BackendKind::synthetic || d.backend == BackendKind::synthetic_gpu) {
        c.warnings.push_back("device " + d.name +
                             " makes up its answers: its backend only takes the time, to try things out");
      }
      if (d.is_gpu()) {
        read_gpu(table, d);
      } else {
        if (d.batch != 1)
          table.fail("batch", found(std::to_string(d.batch)) +
                                  "1, or none, for lanes on a processor: jobs run one by one there");
        if (d.in_flight != 1)
          table.fail("in_flight", found(std::to_string(d.in_flight)) +
                                      "1, or none, for lanes on a processor: they run block by block");
        d.preemption = table.choice("preemption", kPreemptions, d.preemption);
        if (d.has_urgent_lanes()) check_preemption(table, d, c.warnings);
        threads += d.lanes * d.threads;  // those of a GPU's lanes sleep
      }
      table.close();
      c.devices.push_back(std::move(d));
    }
    if (threads > static_cast<int>(machine_.cores.size())) {
      c.warnings.push_back("the lanes of all devices have " + std::to_string(threads) +
                           " threads, this machine has " + std::to_string(machine_.cores.size()) +
                           " cores: lanes will wait for each other");
    }
  }

  // A lane is a stream, an urgent lane one of higher priority.
  void read_gpu(TomlTable& table, DeviceConfig& d) {
    const std::string its = " for backend \"" + std::string(name(d.backend)) + "\"";
    if (d.backend == BackendKind::cuda && !cuda_index(d.name)) {
      table.fail("name",
                 found(d.name) + "\"cuda:N\" for a device with backend \"cuda\", N its number from 0 to 63");
    }
    if (d.threads != 1) {
      table.fail("threads", found(std::to_string(d.threads)) + "1, or none," + its);
    }
    d.preemption = table.choice("preemption", kPreemptions, "boundary");
  }

  void read_cores(TomlTable& table, DeviceConfig& d, std::set<int>& pinned,
                  std::vector<std::string>& warnings) {
    for (const std::int64_t core : table.integers("cores", 0, kMaxCore, kMaxCore + 1)) {
      const int number = static_cast<int>(core);
      d.cores.push_back(number);
      if (!std::binary_search(machine_.cores.begin(), machine_.cores.end(), number)) {
        table.fail("cores",
                   "core " + std::to_string(number) + " is not there; this process may use " + usable());
      }
      if (!pinned.insert(number).second) {
        warnings.push_back("core " + std::to_string(number) + " is given to two lanes (device " + d.name +
                           ")");
      }
    }
    if (!d.cores.empty() && d.cores.size() != static_cast<std::size_t>(d.lanes * d.threads)) {
      table.fail("cores", "found " + std::to_string(d.cores.size()) + " cores; expected " +
                              std::to_string(d.lanes * d.threads) +
                              " (lanes x threads), or none for no pinning");
    }
  }

  // An urgent lane takes the core of the lane that it preempts: it must be on the same one, and outrank it.
  void check_preemption(TomlTable& table, DeviceConfig& d, std::vector<std::string>& warnings) {
    std::string why;
    if (d.cores.empty()) {
      why = "its lanes are not pinned; give it `cores`";
      if (d.preemption == "instant") {
        table.fail("preemption",
                   "found \"instant\" for lanes that are not pinned; give this device `cores`, "
                   "or write \"as-needed\" or \"boundary\"");
      }
    } else if (!machine_.no_real_time.empty()) {
      why = "this process cannot take a real-time rank (" + machine_.no_real_time +
            "); allow it with LimitRTPRIO=" + std::to_string(kDaemonPriority) + " or `ulimit -r`";
    }
    if (why.empty()) return;
    warnings.push_back("device " + d.name + ": urgent jobs wait for the end of the block in progress, for " +
                       why + "; or accept it with preemption = \"boundary\"");
    d.preemption = "boundary";
  }

  std::string usable() const {
    std::string out;
    for (std::size_t i = 0; i < machine_.cores.size(); ++i) {
      std::size_t last = i;
      while (last + 1 < machine_.cores.size() && machine_.cores[last + 1] == machine_.cores[last] + 1) ++last;
      out += (out.empty() ? "" : ", ") + std::to_string(machine_.cores[i]);
      if (last > i) out += "-" + std::to_string(machine_.cores[last]);
      i = last;
    }
    return out;
  }

  void read_tenants(TomlTable& root, DaemonConfig& c) {
    for (auto& [name, table] : root.named_tables("tenant")) {
      TenantConfig t;
      t.name = name;
      if (!is_name(name)) table.fail("", "a tenant's name has " + std::string(kNameForm));
      t.uid = user_of(name, table);
      t.max_priority = read_int(table, "max_priority", -kMaxPriority, kMaxPriority, t.max_priority);
      t.max_jobs = read_int(table, "max_jobs", 1, 65536, t.max_jobs);
      t.max_bytes = read_bytes(table, "max_bytes", ByteCount{1}, t.max_bytes);
      t.max_connections = read_int(table, "max_connections", 1, 4096, t.max_connections);
      t.max_tasks = read_int(table, "max_tasks", 0, 4096, t.max_tasks);
      t.weight = table.number("weight", kLeastWeight, 1 / kLeastWeight, t.weight);
      t.budget = read_budget(table);
      table.close();
      c.tenants.push_back(std::move(t));
    }
    if (c.tenants.empty()) c.tenants.push_back(TenantConfig{.name = "default", .uid = std::nullopt});
  }

  std::optional<uid_t> user_of(const std::string& name, TomlTable& table) {
    const std::string user = table.text("user", name);
    const std::int64_t uid = table.integer("uid", 0, 0xffff'fffe, 0);
    if (name == "default") {
      for (const char* key : {"user", "uid"}) {
        if (table.has(key))
          table.fail(key, "the tenant \"default\" stands for every other user; remove this line");
      }
      return std::nullopt;
    }
    if (table.has("user") && table.has("uid"))
      table.fail("uid", "user is given as well; keep one of the two");
    if (table.has("uid")) return static_cast<uid_t>(uid);
    const std::optional<uid_t> known = machine_.uid_of(user);
    if (!known) {
      table.fail("user", "there is no user \"" + escape(user, 60) +
                             "\" on this machine; write user = \"NAME\" or " + "uid = NUMBER");
    }
    return known.value_or(0);
  }

  std::filesystem::path folder_;
  const Machine& machine_;
};

// Tries it, for what decides it (privileges, limits, control groups) is spread over the system.
std::string why_no_real_time() {
  const int policy = ::sched_getscheduler(0);
  sched_param before{};
  ::sched_getparam(0, &before);
  const sched_param wanted{kDaemonPriority};
  if (::sched_setscheduler(0, SCHED_FIFO, &wanted) != 0) return std::strerror(errno);
  ::sched_setscheduler(0, policy, &before);
  return {};
}

}  // namespace

std::string_view name(BackendKind b) {
  return kBackends[static_cast<std::size_t>(b)];
}

std::span<const std::string_view> policy_names() {
  return kPolicies;
}
std::span<const std::string_view> log_level_names() {
  return kLogLevels;
}

std::span<const std::string_view> preemption_names() {
  return kPreemptions;
}

Machine Machine::here() {
  Machine m;
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &set)) m.cores.push_back(i);
  }
  m.no_real_time = why_no_real_time();
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) m.files = files.rlim_max;
  m.uid_of = [](const std::string& user) -> std::optional<uid_t> {
    passwd entry{};
    passwd* found_entry = nullptr;
    std::vector<char> buffer(16384);
    ::getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found_entry);
    if (found_entry == nullptr) return std::nullopt;
    return entry.pw_uid;
  };
  return m;
}

Result<DaemonConfig> parse_daemon_config(std::string_view text, const std::filesystem::path& file,
                                         const Machine& machine) {
  TomlDocument document(text, file.string());
  const std::filesystem::path folder = std::filesystem::absolute(file).parent_path();
  DaemonConfig config = Reader(folder, machine).read(document.root());
  if (auto ok = document.finish(); !ok) return ok.error();
  return config;
}

Result<DaemonConfig> load_daemon_config(const std::filesystem::path& file, const Machine& machine) {
  const Result<std::string> text = read_file(file, ByteCount{1u << 20});
  if (!text) return text.error();
  return parse_daemon_config(*text, file, machine);
}

std::string summary(const DaemonConfig& c) {
  std::string out =
      "socket " + c.socket.string() + ", models " + c.models.string() + ", policy " + c.policy + "\n";
  for (const DeviceConfig& d : c.devices) {
    out += "device " + d.name + ": " + std::string(name(d.backend)) + ", lanes " + std::to_string(d.lanes) +
           ", threads per lane " + std::to_string(d.threads) +
           (d.cores.empty() ? ", not pinned" : ", pinned") +
           (d.memory.value == 0 ? "" : ", memory " + format_bytes(d.memory)) +
           (d.batch == 1 ? "" : ", batches of up to " + std::to_string(d.batch)) +
           (d.in_flight == 1 ? "" : ", blocks in flight " + std::to_string(d.in_flight)) + ", preemption " +
           d.preemption + "\n";
  }
  for (const TenantConfig& t : c.tenants) {
    out +=
        "tenant " + t.name + ": " + (t.uid ? "uid " + std::to_string(*t.uid) : "every other user") +
        ", max_priority " + std::to_string(t.max_priority) + ", max_jobs " + std::to_string(t.max_jobs) +
        ", max_bytes " + format_bytes(t.max_bytes) +
        (t.budget ? ", budget " + format_duration(t.budget->amount) + "/" + format_duration(t.budget->period)
                  : "") +
        "\n";
  }
  for (const std::string& w : c.warnings) out += "warning: " + w + "\n";
  return out;
}

}  // namespace einet
