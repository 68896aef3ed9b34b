// Reads a TOML text into plain structs with errors a person can act on: "FILE:LINE:COLUMN: key: what was
// found, what is allowed". Every TOML that the project reads (configuration, packages, task sets, problems)
// goes through here.
//
// The first error sticks: later reads return their fallbacks, and `TomlDocument::finish` reports it. So a
// reader is straight-line code:
//
//   TomlDocument doc(text, "einetd.toml");
//   TomlTable root = doc.root();
//   config.socket = root.text("socket", "/run/einetd/socket");
//   for (TomlTable lane : root.tables("lane")) { …; lane.close(); }
//   root.close();
//   if (auto ok = doc.finish(); !ok) return ok.error();
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/bytes.h"
#include "config/result.h"
#include "config/time.h"

namespace einet {

namespace detail {
struct TomlState;
}

// A table being read. Cheap to copy; valid while its document lives.
class TomlTable {
 public:
  // Reads with a fallback: a missing key gives the fallback, a key of the wrong type or range is an error.
  // Without one (std::nullopt), a missing key is an error too.
  std::string text(std::string_view key, std::optional<std::string> fallback = std::nullopt);
  // One of `allowed`; the error names the nearest.
  std::string choice(std::string_view key, std::span<const std::string_view> allowed,
                     std::optional<std::string> fallback = std::nullopt);
  std::int64_t integer(std::string_view key, std::int64_t min, std::int64_t max,
                       std::optional<std::int64_t> fallback = std::nullopt);
  // Finite, within [min, max]; a TOML integer is accepted.
  double number(std::string_view key, double min, double max, std::optional<double> fallback = std::nullopt);
  // A duration string (config/time.h) of at least `min`.
  Duration duration(std::string_view key, Duration min, std::optional<Duration> fallback = std::nullopt);
  ByteCount bytes(std::string_view key, std::optional<ByteCount> fallback = std::nullopt);

  std::vector<std::string> texts(std::string_view key, std::size_t max_count);
  // Some of `allowed`, none twice.
  std::vector<std::string> choices(std::string_view key, std::span<const std::string_view> allowed);
  std::vector<std::int64_t> integers(std::string_view key, std::int64_t min, std::int64_t max,
                                     std::size_t max_count);
  std::vector<double> numbers(std::string_view key, double min, double max, std::size_t max_count);
  std::vector<Duration> durations(std::string_view key, Duration min, std::size_t max_count);

  bool has(std::string_view key) const;
  // The sub-table; an empty one (all fallbacks apply) if the key is missing.
  TomlTable table(std::string_view key);
  // The array of tables [[key]]; empty if missing.
  std::vector<TomlTable> tables(std::string_view key);
  // The sub-tables of a table of tables ([key.NAME] …), in file order, each with its name.
  std::vector<std::pair<std::string, TomlTable>> named_tables(std::string_view key);

  // Every key that was not asked for is an error that names the nearest key that was. Call it last.
  void close();

  // Reports an error at a key's value (or at the table itself, if it has no such key).
  void fail(std::string_view key, std::string_view what);

 private:
  friend class TomlDocument;
  friend struct detail::TomlState;
  TomlTable(detail::TomlState* state, const void* table, std::string path);
  const void* find(std::string_view key);
  template <class T, class Convert>
  T read(std::string_view key, const std::optional<T>& fallback, Convert&& convert);
  template <class T, class Convert>
  std::vector<T> read_list(std::string_view key, std::size_t max_count, Convert&& convert);

  detail::TomlState* state_;
  const void* table_;  // toml::table; null for a missing one
  std::string path_;   // "tenant.camera.", for messages
  std::shared_ptr<std::vector<std::string>> asked_;
};

class TomlDocument {
 public:
  // `file` is only used in messages.
  TomlDocument(std::string_view text, std::string file);
  ~TomlDocument();
  TomlDocument(const TomlDocument&) = delete;
  TomlDocument& operator=(const TomlDocument&) = delete;

  TomlTable root();
  // The first error, if there was one.
  Result<void> finish() const;

 private:
  std::unique_ptr<detail::TomlState> state_;
};

}  // namespace einet
