// What the command lines of our programs share: options that take one of a few words, and what to say of
// wrong arguments.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "config/text.h"

namespace einet::cli {

// An option that takes one of these words, and puts what the word stands for into `to`.
template <class T, class Target>
CLI::Option* choice_option(CLI::App& app, const std::string& name, Target& to, const std::string& help,
                           const std::vector<std::pair<std::string_view, T>>& choices) {
  std::vector<std::string_view> words;
  std::string type;
  for (const auto& [word, value] : choices) {
    words.push_back(word);
    type += (type.empty() ? "{" : ",") + std::string(word);
  }
  return app
      .add_option_function<std::string>(
          name,
          [name, words, choices, &to](const std::string& text) {
            const auto at = std::find(words.begin(), words.end(), text);
            if (at == words.end())
              throw CLI::ValidationError(name, "found \"" + escape(text) + "\"; expected " + one_of(words));
            to = choices[static_cast<std::size_t>(at - words.begin())].second;
          },
          help)
      ->type_name(type + "}");
}

// The command that was named, as far as it was; `root` if none was.
const CLI::App& named_command(const CLI::App& root);

// What was wrong with the arguments that `root` parsed: what was found, and what is allowed or was meant.
std::string words_of(const CLI::ParseError&, const CLI::App& root);

}  // namespace einet::cli
