// Drives the program einet-model as a person does, on a data directory of a few drawn digits.
#include <array>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <signal.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "models/data/digits.h"
#include "models/package.h"
#include "models/profiles.h"
#include "temporary_folder.h"

namespace einet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

// einet-model as a child process; its stderr is read as it comes, its stdout goes to a file.
class Child {
 public:
  Child(std::vector<std::string> arguments, const fs::path& out) {
    arguments.insert(arguments.begin(), EINET_MODEL_PROGRAM);
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
      ::dup2(ends[1], STDERR_FILENO);
      std::vector<char*> argv;
      for (std::string& a : arguments) argv.push_back(a.data());
      argv.push_back(nullptr);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    stderr_ = ends[0];
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { ::close(stderr_); }

  // Reads stderr until it holds `text` or ends.
  void read_until(const std::string& text) {
    std::array<char, 256> some{};
    while (words_.find(text) == std::string::npos) {
      const ssize_t n = ::read(stderr_, some.data(), some.size());
      if (n <= 0) return;
      words_.append(some.data(), static_cast<std::size_t>(n));
    }
  }
  void kill() { ::kill(pid_, SIGKILL); }
  // The exit code, or minus the signal.
  int wait() {
    read_until("\x01");
    int status = 0;
    ::waitpid(pid_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  const std::string& words() const { return words_; }

 private:
  pid_t pid_ = -1;
  int stderr_ = -1;
  std::string words_;
};

std::string number(std::size_t v) {
  return {static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8),
          static_cast<char>(v)};
}

class EinetModel : public ::testing::Test {
 protected:
  EinetModel() {
    fs::create_directories(folder_ / "data");
    write_mnist("train", draw_digits(100, 5));
    write_mnist("t10k", draw_digits(20, 6));
  }

  void write_mnist(const std::string& prefix, const Images& images) {
    std::ofstream(folder_ / "data" / (prefix + "-images-idx3-ubyte"), std::ios::binary)
        << number(0x803) << number(images.size()) << number(28) << number(28)
        << std::string(images.pixels.begin(), images.pixels.end());
    std::ofstream(folder_ / "data" / (prefix + "-labels-idx1-ubyte"), std::ios::binary)
        << number(0x801) << number(images.size()) << std::string(images.labels.begin(), images.labels.end());
  }
  // The whole set, every byte 0.
  void write_cifar10() {
    fs::create_directories(folder_ / "cifar");
    for (const char* name :
         {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"}) {
      const fs::path file = folder_ / "cifar" / (std::string(name) + ".bin");
      std::ofstream(file, std::ios::binary) << "";
      fs::resize_file(file, 10'000 * 3073);
    }
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  static std::string read(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::vector<std::string> train(const std::string& out, std::vector<std::string> more = {},
                                 const std::string& network = "b-alexnet") const {
    std::vector<std::string> arguments = {"train",   network,    "--data", path("data"), "--out",
                                          path(out), "--epochs", "3",      "--batch",    "30"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  // Runs to the end; stdout and stderr are in out_ and words_.
  int run(const std::vector<std::string>& arguments) {
    Child child(arguments, folder_ / "stdout");
    const int code = child.wait();
    words_ = child.words();
    out_ = read(folder_ / "stdout");
    return code;
  }
  std::string exported_weights(const std::string& checkpoint) {
    EXPECT_EQ(run({"export", path(checkpoint), "--out", path(checkpoint + ".einet")}), 0) << words_;
    return read(folder_ / (checkpoint + ".einet") / "weights.safetensors");
  }

  test::TemporaryFolder temporary_;
  const fs::path folder_ = temporary_.path();
  std::string out_, words_;
};

TEST_F(EinetModel, KilledAndResumedGivesTheWeightsOfAnUninterruptedTraining) {
  ASSERT_EQ(run(train("whole")), 0) << words_;
  {
    Child child(train("killed"), folder_ / "stdout");
    child.read_until("epoch 1/3: loss");
    child.kill();
    child.wait();
  }
  ASSERT_EQ(run(train("killed", {"--resume"})), 0) << words_;
  const std::string whole = exported_weights("whole");
  EXPECT_GT(whole.size(), 1000u);
  EXPECT_EQ(exported_weights("killed"), whole);
  // The curves of its epochs are drawn beside it.
  EXPECT_EQ(read(folder_ / "killed.png"), read(folder_ / "whole.png"));
  EXPECT_TRUE(read(folder_ / "whole.png").starts_with("\x89PNG"));
  ASSERT_EQ(run(train("other", {"--seed", "2"})), 0) << words_;
  EXPECT_NE(exported_weights("other"), whole);
}

TEST_F(EinetModel, MakesAPackageWithProfilesAndDescribesIt) {
  ASSERT_EQ(run(train("c", {"--epoch-images", "60"})), 0) << words_;
  ASSERT_EQ(run({"export", path("c"), "--out", path("tiny.einet")}), 0) << words_;
  EXPECT_THAT(words_, HasSubstr("test (20 images), accuracy per exit"));
  ASSERT_EQ(run({"profile", path("tiny.einet"), "--rounds", "10"}), 0) << words_;
  ASSERT_EQ(run({"profile", path("tiny.einet"), "--rounds", "10"}), 0) << words_;

  const auto info = read_package_info(path("tiny.einet"));
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->name, "tiny");
  EXPECT_EQ(info->confidences.samples, 10);
  ASSERT_EQ(info->times.size(), 1u);
  ASSERT_NE(info->times_on("cpu"), nullptr);
  for (const auto* part : {&info->times_on("cpu")->trunk, &info->times_on("cpu")->exit}) {
    ASSERT_EQ(part->size(), 3u);
    for (const PartTime& t : *part) {
      EXPECT_GT(t.p50, Duration{0});
      EXPECT_LE(t.p50, t.p99);
      EXPECT_LE(t.p99, t.max);
    }
  }

  ASSERT_EQ(run({"info", path("tiny.einet"), "--json"}), 0) << words_;
  const auto json = nlohmann::json::parse(out_);
  EXPECT_EQ(json["name"], "tiny");
  EXPECT_EQ(json["blocks"].size(), 3u);
  EXPECT_EQ(json["profiles"][0]["trunk"].size(), 3u);
  EXPECT_EQ(words_, "");
  ASSERT_EQ(run({"info", path("tiny.einet")}), 0) << words_;
  EXPECT_THAT(out_, HasSubstr("input [1, 28, 28], 10 classes, 3 blocks"));
}

TEST_F(EinetModel, WritesWhatEveryExitAnswersToEveryImage) {
  ASSERT_EQ(run(train("c", {"--epoch-images", "60"})), 0) << words_;
  ASSERT_EQ(run({"export", path("c"), "--out", path("tiny.einet")}), 0) << words_;
  EXPECT_EQ(run({"profile", path("tiny.einet"), "--data", path("data")}), 1);
  EXPECT_THAT(words_, HasSubstr("has no measured times"));
  ASSERT_EQ(run({"profile", path("tiny.einet"), "--rounds", "10"}), 0) << words_;
  EXPECT_EQ(run({"profile", path("tiny.einet"), "--data", path("data"), "--rounds", "10"}), 2);
  EXPECT_EQ(run({"profile", path("tiny.einet"), "--data", path("nowhere")}), 1);
  EXPECT_FALSE(fs::exists(path("tiny.profiles")));
  ASSERT_EQ(run({"profile", path("tiny.einet"), "--data", path("data"), "--train-images", "30"}), 0)
      << words_;

  const auto profiles = ProfileSet::read(path("tiny.profiles"));
  ASSERT_TRUE(profiles) << profiles.error().message;
  EXPECT_EQ(profiles->network(), "tiny");
  EXPECT_EQ(profiles->data(), "mnist");
  EXPECT_EQ(profiles->blocks(), 3);
  ASSERT_NE(profiles->times_on("cpu"), nullptr);
  ASSERT_NE(profiles->split(Split::train), nullptr);
  EXPECT_EQ(profiles->split(Split::train)->samples(), 30);
  EXPECT_EQ(profiles->split(Split::test)->samples(), 20);
  // The CS-profile in the package has the same held-out images, answered by the training module.
  const auto info = read_package_info(path("tiny.einet"));
  const ProfileSplit& held_out = *profiles->split(Split::validation);
  ASSERT_EQ(held_out.samples(), info->confidences.samples);
  for (int i = 0; i < held_out.samples(); ++i) {
    for (int e = 0; e < 3; ++e) {
      const auto at = static_cast<std::size_t>(3 * i + e);
      EXPECT_EQ(held_out.right(i, e), info->confidences.correct[at] == 1);
      EXPECT_NEAR(held_out.confidence(i, e), info->confidences.confidence[at], 1e-3);
    }
  }
}

TEST_F(EinetModel, LetsTheTrainedNetworkAnswerManyImagesAtATime) {
  ASSERT_EQ(run(train("c", {"--epoch-images", "60"})), 0) << words_;
  ASSERT_EQ(run({"export", path("c"), "--out", path("tiny.einet")}), 0) << words_;
  ASSERT_EQ(run({"profile", path("tiny.einet"), "--rounds", "10"}), 0) << words_;
  const auto answers = [&](const std::string& out, std::vector<std::string> more) {
    std::vector<std::string> command = {"profile", path("tiny.einet"), "--data", path("data"),
                                        "--out",   path(out)};
    command.insert(command.end(), more.begin(), more.end());
    EXPECT_EQ(run(command), 0) << words_;
    return ProfileSet::read(path(out)).value();
  };
  const ProfileSet lane = answers("lane.profiles", {});
  const ProfileSet trained = answers("trained.profiles.zst", {"--checkpoint", path("c"), "--kept", "3"});
  const ProfileSplit &a = *lane.split(Split::test), &b = *trained.split(Split::test);
  EXPECT_EQ(a.kept(), 10);
  EXPECT_EQ(b.kept(), 3);
  ASSERT_EQ(a.samples(), b.samples());
  for (int i = 0; i < a.samples(); ++i) {
    EXPECT_EQ(a.label(i), b.label(i));
    for (int e = 0; e < 3; ++e) EXPECT_NEAR(a.confidence(i, e), b.confidence(i, e), 1e-3);
  }
  // New times go into the package and, where asked for, beside the answers.
  ASSERT_EQ(run({"profile", path("tiny.einet"), "--rounds", "10", "--into", path("trained.profiles.zst")}), 0)
      << words_;
  const ProfileSet retimed = ProfileSet::read(path("trained.profiles.zst")).value();
  EXPECT_EQ(retimed.times(), read_package_info(path("tiny.einet"))->times);
  EXPECT_NE(retimed.times(), trained.times());
  EXPECT_EQ(retimed.split(Split::test)->score(3, 2, 1), b.score(3, 2, 1));

  ASSERT_EQ(run(train("s", {"--epoch-images", "60"}, "b-alexnet-single")), 0) << words_;
  EXPECT_EQ(run({"profile", path("tiny.einet"), "--data", path("data"), "--checkpoint", path("s")}), 1);
  EXPECT_THAT(words_, HasSubstr("holds other weights than"));
  ASSERT_EQ(run({"export", path("s"), "--out", path("other.einet")}), 0) << words_;
  EXPECT_EQ(run({"profile", path("other.einet"), "--rounds", "10", "--into", path("lane.profiles")}), 1);
  EXPECT_THAT(words_, HasSubstr("not of this package"));
}

TEST_F(EinetModel, SavesNoMoreOftenThanAskedButAtTheEnd) {
  {
    Child child(train("c", {"--save-every", "3600"}), folder_ / "stdout");
    child.read_until("epoch 2/3: loss");
    EXPECT_FALSE(fs::exists(path("c")));
    ASSERT_EQ(child.wait(), 0);
  }
  EXPECT_EQ(run(train("c", {"--resume"})), 0) << words_;
  EXPECT_THAT(words_, HasSubstr("is complete"));
}

TEST_F(EinetModel, RefusesImagesOfAnotherSetThanThePackages) {
  ASSERT_EQ(run(train("c", {"--epoch-images", "30"})), 0) << words_;
  ASSERT_EQ(run({"export", path("c"), "--out", path("tiny.einet")}), 0) << words_;
  ASSERT_EQ(run({"profile", path("tiny.einet"), "--rounds", "10"}), 0) << words_;
  write_cifar10();
  EXPECT_EQ(run({"profile", path("tiny.einet"), "--data", path("cifar")}), 1);
  EXPECT_THAT(words_, HasSubstr("the package takes [1, 28, 28] in 10 classes; \"cifar-10\" has [3, 32, 32]"));
  EXPECT_FALSE(fs::exists(path("tiny.profiles")));
}

TEST_F(EinetModel, ConvertsASingleExitPackage) {
  ASSERT_EQ(run(train("c", {"--epoch-images", "60"}, "b-alexnet-single")), 0) << words_;
  ASSERT_EQ(run({"export", path("c"), "--out", path("single.einet")}), 0) << words_;
  std::vector<std::string> convert = {"convert",  path("single.einet"),
                                      "--data",   path("data"),
                                      "--out",    path("m"),
                                      "--epochs", "1",
                                      "--batch",  "30",
                                      "--cut",    "stages"};
  ASSERT_EQ(run(convert), 0) << words_;
  ASSERT_EQ(run({"export", path("m"), "--out", path("multi.einet")}), 0) << words_;
  const auto single = read_package_info(path("single.einet")), multi = read_package_info(path("multi.einet"));
  EXPECT_EQ(single->program.block_count(), 1);
  EXPECT_EQ(multi->program.block_count(), 3);
  EXPECT_EQ(multi->confidences.accuracy(2), single->confidences.accuracy(0));
  convert.insert(convert.end(), {"--resume", "--train", "all"});
  EXPECT_EQ(run(convert), 1);
  EXPECT_THAT(words_, HasSubstr("was trained with train branches, not all"));
  convert[1] = path("nowhere.einet");
  convert[5] = path("n");
  EXPECT_EQ(run(convert), 1);
  EXPECT_THAT(words_, HasSubstr("nowhere.einet"));
  EXPECT_FALSE(fs::exists(path("n")));
}

TEST_F(EinetModel, RefusesACheckpointThatIsNotItsOwn) {
  ASSERT_EQ(run(train("c", {"--epoch-images", "30"})), 0) << words_;
  const std::string before = read(folder_ / "c");
  EXPECT_EQ(run(train("c", {"--epoch-images", "30"})), 1);
  EXPECT_THAT(words_, HasSubstr("--resume continues it"));
  EXPECT_EQ(run(train("c", {"--epoch-images", "30", "--resume"}, "fine-resnet")), 1);
  EXPECT_THAT(words_, HasSubstr("was trained with network b-alexnet, not fine-resnet"));
  EXPECT_EQ(run(train("c", {"--epoch-images", "30", "--resume", "--seed", "9"})), 1);
  EXPECT_THAT(words_, HasSubstr("was trained with seed 1, not 9"));
  EXPECT_EQ(run(train("c", {"--epoch-images", "30", "--resume", "--precision", "bf16"})), 1);
  EXPECT_THAT(words_, HasSubstr("was trained with precision fp32, not bf16"));
  EXPECT_EQ(read(folder_ / "c"), before);
}

TEST_F(EinetModel, SaysThatACompleteTrainingIsComplete) {
  ASSERT_EQ(run(train("c", {"--epoch-images", "30"})), 0) << words_;
  EXPECT_EQ(run(train("c", {"--epoch-images", "30", "--resume"})), 0);
  EXPECT_EQ(words_,
            path("c") + " is complete; next: einet-model export " + path("c") + " --out NAME.einet\n");
}

TEST_F(EinetModel, SaysWhatAnExportOverAPackageDrops) {
  ASSERT_EQ(run(train("c", {"--epoch-images", "30"})), 0) << words_;
  ASSERT_EQ(run({"export", path("c"), "--out", path("tiny.einet")}), 0) << words_;
  ASSERT_EQ(run({"export", path("c"), "--out", path("tiny.einet")}), 0) << words_;
  EXPECT_THAT(words_, Not(HasSubstr("was there already")));
  ASSERT_EQ(run({"profile", path("tiny.einet"), "--rounds", "10"}), 0) << words_;
  ASSERT_EQ(run({"export", path("c"), "--out", path("tiny.einet")}), 0) << words_;
  EXPECT_THAT(words_, HasSubstr("tiny.einet was there already; gone with it: its measured times (cpu)\n"));
}

TEST_F(EinetModel, ChecksWhereItWritesBeforeItWorks) {
  EXPECT_EQ(run(train("none/c")), 1);
  EXPECT_THAT(words_, HasSubstr("cannot create: No such file or directory"));
  EXPECT_THAT(words_, Not(HasSubstr("epoch 1")));
  // Nothing else was looked at: there is no such package.
  EXPECT_EQ(run({"profile", path("x.einet"), "--data", path("data"), "--out", path("none/x.profiles")}), 1);
  EXPECT_THAT(words_, HasSubstr("cannot create: No such file or directory"));
}

TEST_F(EinetModel, SaysThatItsOutputIsLost) {
  ASSERT_EQ(run(train("c", {"--epoch-images", "30"})), 0) << words_;
  ASSERT_EQ(run({"export", path("c"), "--out", path("tiny.einet")}), 0) << words_;
  Child child({"info", path("tiny.einet")}, "/dev/full");
  EXPECT_EQ(child.wait(), 1);
  EXPECT_EQ(child.words(), "einet-model: stdout: cannot write: No space left on device\n");
}

TEST_F(EinetModel, ShowsStepsThatMakeWhatTheNextOneReads) {
  ASSERT_EQ(run({"--help"}), 0);
  EXPECT_THAT(out_, HasSubstr("  einet-model profile digits.einet --data digits\n"
                              "  einet-model predictor digits.profiles --package digits.einet\n"));
}

TEST_F(EinetModel, SaysWhatIsWrongAndWhatToDo) {
  EXPECT_EQ(run(train("c", {}, "b-alexnt")), 1);
  EXPECT_THAT(words_, HasSubstr("did you mean \"b-alexnet\""));
  EXPECT_EQ(run({"train", "b-alexnet", "--data", path("nowhere"), "--out", path("c")}), 1);
  EXPECT_THAT(words_, HasSubstr("does not hold mnist"));
  EXPECT_EQ(run({"export", path("nowhere"), "--out", path("x.einet")}), 1);
  EXPECT_THAT(words_, HasSubstr("nowhere"));
  EXPECT_EQ(run({"export", path("nowhere"), "--out", path("x")}), 1);
  EXPECT_THAT(words_, HasSubstr("ends with .einet"));
  EXPECT_EQ(run({"profile", path("x.einet")}), 1);
  EXPECT_EQ(run({"info", path("x.einet")}), 1);
  EXPECT_FALSE(fs::exists(folder_ / "c"));
}

TEST_F(EinetModel, ExitsWithTwoForWrongUsage) {
  EXPECT_EQ(run({}), 2);
  EXPECT_EQ(run({"trian"}), 2);
  EXPECT_EQ(run(train("c", {"--batch", "1"})), 2);
  EXPECT_EQ(run({"profile", "x.einet", "--device", "tpu"}), 2);
  EXPECT_EQ(run({"profile", "x.einet", "--out", "x.profiles"}), 2);
  EXPECT_EQ(run({"profile", "x.einet", "--checkpoint", "c"}), 2);
  EXPECT_EQ(run({"profile", "x.einet", "--data", "digits", "--compute", "cuda"}), 2);
  EXPECT_EQ(run({"profile", "x.einet", "--data", "digits", "--kept", "0"}), 2);
  EXPECT_EQ(run({"profile", "x.einet", "--data", "digits", "--into", "x.profiles"}), 2);
  EXPECT_EQ(run(train("c", {"--save-every", "-1"})), 2);
  EXPECT_EQ(run(train("c", {"--steps", "two"})), 2);
  EXPECT_EQ(run(train("c", {"--augment", "rotate"})), 2);
  EXPECT_EQ(run(train("c", {"--label-smoothing", "1"})), 2);
  EXPECT_EQ(run({"--help"}), 0);
}

}  // namespace
}  // namespace einet
