// The bash completion, played in a real bash; and that it knows every option that --help shows.
#include <array>
#include <cstdio>
#include <iterator>
#include <memory>
#include <regex>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include "config/files.h"
#include "temporary_folder.h"
#include "tools/einet/command_line.h"

namespace einet::cli {
namespace {

// What bash offers for the last of these words.
std::set<std::string> complete(const std::string& words) {
  const std::string script = std::string("source '" EINET_SOURCE_DIR "/tools/einet/completion.bash' && ") +
                             "COMP_WORDS=(" + words + "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _einet; " +
                             "printf '%s\\n' \"${COMPREPLY[@]}\"";
  const std::string command = "bash --norc -c '" + std::regex_replace(script, std::regex("'"), "'\\''") + "'";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), &::pclose);
  EXPECT_TRUE(pipe);
  std::string out;
  std::array<char, 4096> part{};
  while (std::fgets(part.data(), part.size(), pipe.get()) != nullptr) out += part.data();
  std::set<std::string> offers;
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty()) offers.insert(line);
  }
  return offers;
}

using Offers = std::set<std::string>;

TEST(Completion, OffersCommandsOptionsAndValues) {
  EXPECT_EQ(complete("einet s"), (Offers{"status", "submit", "simulate"}));
  EXPECT_EQ(complete("einet --socket /x s"), (Offers{"status", "submit", "simulate"}));
  EXPECT_EQ(complete("einet submit digits x.png --pl"), (Offers{"--plan"}));
  EXPECT_EQ(complete("einet submit digits x.png --plan ''"), (Offers{"exact", "all", "last"}));
  EXPECT_EQ(complete("einet watch --b"), (Offers{"--blocks"}));
  EXPECT_EQ(complete("einet plan --planner g"), (Offers{"greedy"}));
  EXPECT_EQ(complete("einet plan --planner o"), Offers{});
  EXPECT_EQ(complete("einet evaluate x.profiles --planner o"), (Offers{"oracle", "oracle-truth"}));
  EXPECT_EQ(complete("einet evaluate --ag"), (Offers{"--aggregation"}));
  EXPECT_EQ(complete("einet submit digits '" EINET_SOURCE_DIR "/tools/einet/comp'"),
            (Offers{EINET_SOURCE_DIR "/tools/einet/completion.bash"}));
  EXPECT_EQ(complete("einet jobs x"), Offers{});
}

TEST(Completion, GoesOnBehindTask) {
  EXPECT_EQ(complete("einet task r"), (Offers{"remove"}));
  EXPECT_EQ(complete("einet task add x --per"), (Offers{"--period"}));
  EXPECT_EQ(complete("einet --socket /x task list --j"), (Offers{"--json"}));
  EXPECT_EQ(complete("/nonexistent/einet task remove x"), Offers{});
}

// An `einet` that says how it was called, and has models in each state.
TEST(Completion, AsksTheDaemonThatWasTyped) {
  const test::TemporaryFolder folder;
  const std::string program = folder.path() / "einet";
  ASSERT_TRUE(write_file(program,
                         "#!/bin/sh\n"
                         "echo \"MODEL VERSION STATE\"\n"
                         "echo \"$1$2$3$4$5 1 loaded\"\n"
                         "echo \"gone 1 evicted\"\n"
                         "echo \"half 1 evicted from cuda:0\"\n"
                         "echo \"broken - refused\"\n"));
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  EXPECT_EQ(complete(program + " submit ''"), (Offers{"models--timeout200ms", "gone", "half"}));
  EXPECT_EQ(complete(program + " --socket /x submit --tenant a --model ''"),
            (Offers{"--socket/x--tenantamodels", "gone", "half"}));
  EXPECT_EQ(complete(program + " --socket = /x submit --m"), (Offers{"--mandatory-exit"}));
  EXPECT_EQ(complete(program + " --socket = /x submit ''"),
            (Offers{"--socket/xmodels--timeout200ms", "gone", "half"}));
  EXPECT_EQ(complete(program + " task remove --tenant a --"), complete("einet task remove --"));
  EXPECT_TRUE(complete(program + " cancel --tenant a ''").contains("--tenantajobs--timeout200ms"));
  EXPECT_TRUE(complete(program + " task remove --tenant a ''").contains("--tenantatasklist--timeout"));
}

TEST(Completion, AbsentDaemonMeansNoModelNames) {
  EXPECT_EQ(complete("/nonexistent/einet submit ''"), Offers{});
}

TEST(Completion, KnowsEveryOptionThatHelpShows) {
  for (const char* command : {"", "status", "models", "submit", "jobs", "watch", "cancel", "task", "task add",
                              "task remove", "task list", "plan", "simulate", "evaluate", "analyze"}) {
    std::vector<const char*> argv{"einet"};
    std::istringstream names(command);
    const std::vector<std::string> words{std::istream_iterator<std::string>(names), {}};
    for (const std::string& word : words) argv.push_back(word.c_str());
    argv.push_back("--help");
    std::ostringstream out;
    std::ostringstream err;
    ASSERT_EQ(run(static_cast<int>(argv.size()), argv.data(), out, err), 0);
    const Offers offers = complete("einet " + std::string(command) + " --");
    const std::string help = out.str();
    const std::regex option(R"(\n  (?:-h,)?(--[a-z-]+))");
    int found = 0;
    for (std::sregex_iterator i(help.begin(), help.end(), option), end; i != end; ++i) {
      EXPECT_TRUE(offers.contains((*i)[1])) << command << " " << (*i)[1];
      ++found;
    }
    EXPECT_GE(found, 1);
  }
}

}  // namespace
}  // namespace einet::cli
