#include "tools/options/options.h"

#include <span>

namespace einet::cli {
namespace {

std::vector<std::string_view> commands_of(const CLI::App& app) {
  std::vector<std::string_view> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

std::string no_such_command(std::string_view word, std::span<const std::string_view> commands) {
  const std::string_view near = nearest(word, commands);
  return "\"" + escape(word) + "\" is no command; " +
         (near.empty() ? "allowed: " + one_of(commands) : "did you mean \"" + std::string(near) + "\"?");
}

// `word` is what was said: --name or --name=value.
std::string no_such_option(std::string_view word, const CLI::App& command) {
  word = word.substr(0, word.find('='));
  std::vector<std::string_view> names;
  for (const CLI::App* app = &command; app != nullptr; app = app->get_parent()) {
    for (const CLI::Option* option : app->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back(name);
    }
  }
  const std::string_view bare = word.substr(std::min(word.find_first_not_of('-'), word.size()));
  const std::string_view near = nearest(bare, names);
  return "there is no option \"" + escape(word) + "\"" +
         (near.empty() ? "" : "; did you mean \"--" + std::string(near) + "\"?");
}

}  // namespace

const CLI::App& named_command(const CLI::App& root) {
  const auto named = root.get_subcommands([](const CLI::App* command) { return command->parsed(); });
  return named.empty() ? root : named_command(*named.front());
}

std::string words_of(const CLI::ParseError& e, const CLI::App& root) {
  const CLI::App& command = named_command(root);
  const std::vector<std::string_view> commands = commands_of(command);
  const std::vector<std::string> rest = root.remaining(true);
  const auto is = [&e](CLI::ExitCodes code) { return e.get_exit_code() == static_cast<int>(code); };
  const bool required = is(CLI::ExitCodes::RequiredError);
  if (required || is(CLI::ExitCodes::ExtrasError)) {
    for (const std::string& word : rest) {
      if (word.starts_with("-")) return no_such_option(word, command);
      if (!commands.empty()) return no_such_command(word, commands);
    }
  }
  if (required && !commands.empty()) return "name a command: " + one_of(commands);
  return printable(e.what());
}

}  // namespace einet::cli
