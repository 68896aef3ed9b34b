// The configuration file: what is accepted, what is refused and with which words, and that the example in
// docs/ is complete and right.
#include "config/daemon_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/files.h"

namespace einet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Machine machine() {
  return {.cores = {0, 1, 2, 5}, .uid_of = [](const std::string& user) -> std::optional<uid_t> {
            if (user == "camera") return 1001;
            if (user == "batch") return 1002;
            return std::nullopt;
          }};
}

Result<DaemonConfig> parse(std::string_view text) {
  return parse_daemon_config(text, "/etc/einet/einetd.toml", machine());
}

std::string error_of(std::string_view text) {
  const auto config = parse(text);
  return config ? "" : config.error().message;
}

constexpr const char* kCpu = "[[device]]\nname = 'cpu'\n";
std::string with_cpu(std::string_view text) {
  return std::string(text) + "\n" + kCpu;
}

TEST(DaemonConfig, NeedsOnlyADevice) {
  const auto c = parse(kCpu);
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_EQ(c->policy, "imprecise");
  ASSERT_EQ(c->devices.size(), 1u);
  EXPECT_EQ(c->devices[0].lanes, 1);
  EXPECT_EQ(c->devices[0].threads, 1);
  EXPECT_EQ(c->devices[0].backend, BackendKind::onednn);
  ASSERT_EQ(c->tenants.size(), 1u);
  EXPECT_EQ(c->tenants[0], (TenantConfig{.name = "default", .uid = std::nullopt}));
}

TEST(DaemonConfig, TheExampleShowsEveryKeyWithItsDefault) {
  const auto text = read_file(EINET_EXAMPLE_CONFIG, ByteCount{1u << 20});
  ASSERT_TRUE(text) << text.error().message;
  const auto example = parse(*text);
  ASSERT_TRUE(example) << example.error().message;
  EXPECT_EQ(*example, *parse(kCpu));
  // "Every key": the reader's own list of known keys, taken from its words about an unknown one.
  for (const char* table : {"", "[limits]\n", "[worker]\n", "[admission]\n", "[planner]\n",
                            "[tenant.default]\n", "[[device]]\nname='cpu'\n"}) {
    const std::string words =
        error_of(std::string(table) + "qqqqqqqqqq = 1\n" +
                 (std::string_view(table).find("device") == std::string_view::npos ? kCpu : ""));
    const std::size_t list = words.find("allowed here: ");
    ASSERT_NE(list, std::string::npos) << words;
    std::string keys = words.substr(list + 14) + ",";
    if (const auto last = keys.find(" or "); last != std::string::npos) keys.replace(last, 4, ", ");
    for (std::size_t at = 0, end; (end = keys.find(',', at)) != std::string::npos; at = end + 2) {
      const std::string key = keys.substr(at, end - at);
      if (key == "user" || key == "uid") continue;  // they have no default; described in words
      EXPECT_TRUE(text->find("\n" + key + " = ") != std::string::npos ||
                  text->find("[" + key) != std::string::npos)
          << key;
    }
  }
}

TEST(DaemonConfig, ReadsEveryKey) {
  const auto c = parse(R"(
socket = "run/s"
socket_mode = "0600"
models = "/m"
policy = "edf"
promote_at_laxity = "2ms"
drain = "1s"
log_level = "debug"
trace = "t.jsonl"
[limits]
hello = "3s"
jobs = 5
arena = "1MiB"
[worker]
path = "/w"
hang = "3s"
[planner]
expect = "predictor"
survival = ["lived", "deadline"]

[admission]
margin = 1.5
overhead = "10us"
[[device]]
name = "cpu"
backend = "synthetic"
lanes = 2
threads = 2
cores = [0, 1, 2, 5]
preemption = "instant"
memory = "512MiB"
[tenant.camera]
max_priority = 7
max_tasks = 3
weight = 2
budget = "20ms/100ms"
[tenant.second]
user = "camera"
[tenant.third]
uid = 1001
max_bytes = "1KiB"
)");
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_EQ(c->socket, "/etc/einet/run/s");
  EXPECT_EQ(c->socket_mode, 0600u);
  EXPECT_EQ(c->models, "/m");
  EXPECT_EQ(c->trace, "/etc/einet/t.jsonl");
  EXPECT_EQ(c->limits.hello, std::chrono::seconds(3));
  EXPECT_EQ(c->limits.jobs, 5);
  EXPECT_EQ(c->worker.hang, std::chrono::seconds(3));
  EXPECT_EQ(c->devices[0].backend, BackendKind::synthetic);
  EXPECT_THAT(c->devices[0].cores, ElementsAre(0, 1, 2, 5));
  EXPECT_EQ(c->devices[0].preemption, "instant");
  EXPECT_EQ(c->devices[0].all_lanes(), 4);
  EXPECT_EQ(c->devices[0].memory, ByteCount{512u << 20});
  EXPECT_THAT(c->warnings, ElementsAre(HasSubstr("makes up its answers")));
  ASSERT_EQ(c->tenants.size(), 3u);
  for (const TenantConfig& t : c->tenants) EXPECT_EQ(t.uid, uid_t{1001}) << t.name;
  EXPECT_EQ(c->promote_at_laxity, std::chrono::milliseconds(2));
  EXPECT_EQ(c->admission, (AdmissionConfig{1.5, std::chrono::microseconds(10)}));
  EXPECT_EQ(c->planner, (PlannerConfig{"predictor", {"lived", "deadline"}}));
  EXPECT_EQ(c->tenants[0].name, "camera");
  EXPECT_EQ(c->tenants[0].max_tasks, 3);
  EXPECT_EQ(c->tenants[0].weight, 2);
  EXPECT_EQ(c->tenants[0].budget,
            (BudgetConfig{std::chrono::milliseconds(20), std::chrono::milliseconds(100)}));
  EXPECT_FALSE(c->tenants[1].budget);
  EXPECT_EQ(c->tenants[2].max_bytes, ByteCount{1024});
}

TEST(DaemonConfig, SaysWhichDevicesMakeUpTheirAnswers) {
  for (const char* backend : {"synthetic", "synthetic-gpu"}) {
    const auto c =
        parse("[[device]]\nname = 'x'\npreemption = 'boundary'\nbackend = '" + std::string(backend) + "'\n");
    ASSERT_TRUE(c) << c.error().message;
    EXPECT_THAT(c->warnings, ElementsAre(HasSubstr("device x makes up its answers")));
  }
}

TEST(DaemonConfig, KnowsGpusByTheirNames) {
  const auto c = parse(
      "[[device]]\nname = 'cpu'\ncores = [0]\n[[device]]\nname = 'cuda:1'\nbackend = 'cuda'\nlanes = 40\n");
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_EQ(c->devices[1].backend, BackendKind::cuda);
  EXPECT_EQ(c->devices[1].preemption, "boundary");
  EXPECT_EQ(c->devices[1].all_lanes(), 40);
  EXPECT_THAT(c->warnings, ElementsAre());  // its lanes' threads sleep
  const auto with_gpu = [](const std::string& keys) { return "[[device]]\nbackend = 'cuda'\n" + keys; };
  for (const char* name : {"gpu", "cuda", "cuda:", "cuda:64", "cuda:01", "cuda:1x", "cuda:-1"}) {
    EXPECT_THAT(error_of(with_gpu("name = '" + std::string(name) + "'")),
                HasSubstr("name: found \"" + std::string(name) + "\"; expected \"cuda:N\""));
  }
  EXPECT_THAT(error_of(with_gpu("name = 'cuda:0'\nthreads = 2")),
              HasSubstr("threads: found \"2\"; expected 1"));
  EXPECT_THAT(error_of("[[device]]\nname = 'cpu'\nbatch = 2"),
              HasSubstr("batch: found \"2\"; expected 1, or none"));
  EXPECT_THAT(error_of(with_gpu("name = 'cuda:0'\nbatch = 9")), HasSubstr("device[0].batch: "));
  EXPECT_EQ(parse(with_gpu("name = 'cuda:0'\nbatch = 8"))->devices[0].batch, 8);
  EXPECT_THAT(error_of("[[device]]\nname = 'cpu'\nin_flight = 2"),
              HasSubstr("in_flight: found \"2\"; expected 1, or none"));
  EXPECT_THAT(error_of(with_gpu("name = 'cuda:0'\nin_flight = 5")), HasSubstr("device[0].in_flight: "));
  EXPECT_EQ(parse(with_gpu("name = 'cuda:0'\nin_flight = 4"))->devices[0].in_flight, 4);
  // A stream's priority is to be had everywhere.
  const auto urgent = parse(with_gpu("name = 'cuda:0'\npreemption = 'instant'"));
  ASSERT_TRUE(urgent) << urgent.error().message;
  EXPECT_EQ(urgent->devices[0].preemption, "instant");
  EXPECT_EQ(urgent->devices[0].all_lanes(), 2);
  EXPECT_THAT(urgent->warnings, ElementsAre());
}

TEST(DaemonConfig, ErrorsNameThePlaceAndWhatIsAllowed) {
  EXPECT_EQ(error_of(with_cpu("policy = 'edff'")),
            "/etc/einet/einetd.toml:1:10: policy: found \"edff\"; expected edf, fixed-priority, fifo or "
            "imprecise (did "
            "you mean \"edf\"?)");
  EXPECT_EQ(error_of(with_cpu("sokcet = '/s'")),
            "/etc/einet/einetd.toml:1:1: sokcet: unknown key; did you mean \"socket\"?");
  EXPECT_EQ(
      error_of(with_cpu("socket_mode = '9'")),
      "/etc/einet/einetd.toml:1:15: socket_mode: found \"9\"; expected three octal digits, such as \"0660\"");
  EXPECT_EQ(error_of(with_cpu("[limits]\narena = '1B'")),
            "/etc/einet/einetd.toml:2:9: limits.arena: found 1B; expected at least 4KiB");
  EXPECT_THAT(error_of(with_cpu("socket = '/" + std::string(107, 'x') + "'")), HasSubstr("at most 107"));
  EXPECT_THAT(error_of(with_cpu("socket = ''")), HasSubstr("1:10: socket: found \"\"; expected the path"));
  EXPECT_THAT(error_of(std::string(kCpu) + "threads = " + std::to_string(kMaxThreads + 1)),
              HasSubstr("device[0].threads: found 1025; expected"));
  EXPECT_THAT(error_of(with_cpu("[worker]\nrestart_delay_max = '1ms'")),
              HasSubstr("at least restart_delay, 100ms"));
  EXPECT_THAT(error_of(with_cpu("device = 3")), HasSubstr("not TOML"));
}

TEST(DaemonConfig, ABudgetIsAnAmountAndAPeriodThatIsNotShorter) {
  for (const char* bad :
       {"20ms", "20ms/", "/100ms", "0ms/100ms", "100ms/20ms", "20/100", "a/b", "1ms/2ms/3ms"}) {
    EXPECT_THAT(error_of(with_cpu("[tenant.camera]\nbudget = '" + std::string(bad) + "'")),
                HasSubstr("2:10: tenant.camera.budget: found \"" + std::string(bad) +
                          "\"; expected an amount above 0 and a period that is not shorter"))
        << bad;
  }
  EXPECT_THAT(error_of(with_cpu("[tenant.camera]\nweight = 0")), HasSubstr("tenant.camera.weight"));
  EXPECT_THAT(error_of(with_cpu("[tenant.camera]\nmax_tasks = -1")), HasSubstr("tenant.camera.max_tasks"));
  EXPECT_THAT(error_of(with_cpu("[admission]\nmargin = 0.9")), HasSubstr("admission.margin"));
  EXPECT_THAT(
      error_of(with_cpu("[planner]\nexpect = 'lookalike'")),
      HasSubstr("planner.expect: found \"lookalike\"; expected lookalikes, predictor or statistics (did "
                "you mean \"lookalikes\"?)"));
  EXPECT_THAT(error_of(with_cpu("[planner]\nsurvival = ['deadline', 'fate']")),
              HasSubstr("planner.survival[1]: found \"fate\"; expected deadline, demand or lived"));
  EXPECT_THAT(error_of(with_cpu("[planner]\nsurvival = ['lived', 'lived']")),
              HasSubstr("planner.survival[1]: found \"lived\" for the second time"));
  EXPECT_THAT(error_of(with_cpu("[planner]\nsurvival = ['demand']")),
              HasSubstr("planner.survival: \"demand\" is time taken from what a deadline leaves"));
  EXPECT_EQ(error_of(with_cpu("[planner]\nsurvival = []")), "");
  EXPECT_THAT(error_of(with_cpu("promote_at_laxity = '-1ms'")), HasSubstr("promote_at_laxity"));
}

TEST(DaemonConfig, ChecksAcrossKeys) {
  EXPECT_THAT(error_of(""), HasSubstr("device: no device; write at least [[device]]"));
  EXPECT_THAT(error_of(std::string(kCpu) + kCpu), HasSubstr("4:8: device[1].name: a second device \"cpu\""));
  EXPECT_THAT(error_of(std::string(kCpu) + "cores = [7]"),
              HasSubstr("core 7 is not there; this process may use 0-2, 5"));
  EXPECT_THAT(error_of(std::string(kCpu) + "lanes = 2\ncores = [1]"), HasSubstr("found 1 cores; expected 2"));
  EXPECT_THAT(error_of(std::string(kCpu) + "memory = '512 MB'"), HasSubstr("device[0].memory: "));
  EXPECT_THAT(error_of(with_cpu("[tenant.nobody-here]")), HasSubstr("there is no user \"nobody-here\""));
  EXPECT_THAT(error_of(with_cpu("[tenant.x]\nuser = 'zed'")),
              HasSubstr("2:8: tenant.x.user: there is no user \"zed\""));
  EXPECT_THAT(error_of(with_cpu("[tenant.x]\nuser = 'batch'\nuid = 3")), HasSubstr("keep one of the two"));
  EXPECT_THAT(error_of(with_cpu("[tenant.default]\nuid = 3")), HasSubstr("stands for every other user"));
  EXPECT_THAT(error_of(with_cpu("[tenant.camera]\n[tenant.camera]")), HasSubstr("not TOML"));
  EXPECT_THAT(error_of(with_cpu("[tenant.'a b']\nuid = 1")), HasSubstr("a tenant's name has"));
}

constexpr const char* kPinned = "[[device]]\nname = 'cpu'\ncores = [1]\n";

TEST(DaemonConfig, PinnedLanesMayTakeTheCoreAsNeeded) {
  const auto c = parse(kPinned);
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_EQ(c->devices[0].preemption, "as-needed");
  EXPECT_EQ(c->devices[0].all_lanes(), 2);
  EXPECT_THAT(c->warnings, ElementsAre());
}

TEST(DaemonConfig, SaysWhyJobsArePreemptedAtBoundariesAndHowToAllowMore) {
  const auto unpinned = parse(kCpu);
  ASSERT_TRUE(unpinned);
  EXPECT_EQ(unpinned->devices[0].preemption, "boundary");
  EXPECT_EQ(unpinned->devices[0].all_lanes(), 1);
  EXPECT_THAT(unpinned->warnings, ElementsAre(HasSubstr("give it `cores`")));
  EXPECT_THAT(summary(*unpinned), HasSubstr("give it `cores`"));

  Machine ordinary = machine();
  ordinary.no_real_time = "Operation not permitted";
  for (const char* asked : {"", "preemption = 'as-needed'", "preemption = 'instant'"}) {
    const auto c = parse_daemon_config(std::string(kPinned) + asked, "/etc/einet/einetd.toml", ordinary);
    ASSERT_TRUE(c) << c.error().message;
    EXPECT_EQ(c->devices[0].preemption, "boundary");
    EXPECT_THAT(c->warnings, ElementsAre(testing::AllOf(HasSubstr("real-time rank (Operation not permitted)"),
                                                        HasSubstr("LimitRTPRIO=10"))));
  }
  for (const std::string file : {kPinned, kCpu}) {
    const auto content = parse_daemon_config(file + "preemption = 'boundary'", "/etc/e.toml", ordinary);
    ASSERT_TRUE(content);
    EXPECT_THAT(content->warnings, ElementsAre());
  }
}

TEST(DaemonConfig, RefusesInstantPreemptionOfLanesThatAreNotPinned) {
  EXPECT_THAT(error_of(std::string(kCpu) + "preemption = 'instant'"),
              HasSubstr("3:14: device[0].preemption: found \"instant\" for lanes that are not pinned"));
  EXPECT_THAT(error_of(std::string(kPinned) + "preemption = 'at once'"),
              HasSubstr("expected boundary, as-needed or instant"));
}

TEST(DaemonConfig, WarnsWhereLanesWillWaitForEachOther) {
  const auto many = parse(std::string(kCpu) + "lanes = 5\npreemption = 'boundary'");
  ASSERT_TRUE(many);
  ASSERT_EQ(many->warnings.size(), 1u);
  EXPECT_THAT(many->warnings[0], HasSubstr("5 threads, this machine has 4 cores"));
  const auto same = parse(std::string(kCpu) + "cores = [1]\n[[device]]\nname='b'\ncores = [1]");
  ASSERT_TRUE(same);
  ASSERT_EQ(same->warnings.size(), 1u);
  EXPECT_THAT(same->warnings[0], HasSubstr("core 1 is given to two lanes"));
}

TEST(DaemonConfig, WarnsWhereClientsMayNeedMoreDescriptorsThanThereAre) {
  Machine small = machine();
  const std::string file =
      std::string(kCpu) + "preemption = 'boundary'\n[limits]\nconnections = 100\nregions = 9\n";
  for (const auto& [files, words] :
       {std::pair<std::uint64_t, std::string>{1256, ""}, {1255, "may open 1255"}}) {
    small.files = files;
    const auto c = parse_daemon_config(file, "/etc/einet/einetd.toml", small);
    ASSERT_TRUE(c) << c.error().message;
    ASSERT_EQ(c->warnings.size(), words.empty() ? 0u : 1u);
    if (words.empty()) continue;
    EXPECT_THAT(c->warnings[0], HasSubstr("100 connections with 9 regions each are 1000 file descriptors"));
    EXPECT_THAT(c->warnings[0], HasSubstr(words));
  }
}

TEST(DaemonConfig, AFileThatCannotBeReadIsNamed) {
  const auto c = load_daemon_config("/nowhere/einetd.toml", machine());
  ASSERT_FALSE(c);
  EXPECT_THAT(c.error().message, HasSubstr("/nowhere/einetd.toml: cannot open"));
}

}  // namespace
}  // namespace einet
