#include "config/toml_reader.h"

#include <algorithm>
#include <cmath>

#include <toml++/toml.h>

#include "config/text.h"

namespace einet {

namespace detail {

struct TomlState {
  std::string file;
  toml::table root;
  std::optional<Error> first_error;

  void fail(const toml::source_region& where, const std::string& key, std::string_view what) {
    if (first_error) return;
    std::string place = file;
    if (where.begin.line > 0) {
      place += ":" + std::to_string(where.begin.line) + ":" + std::to_string(where.begin.column);
    }
    first_error = error(place + ": " + (key.empty() ? "" : key + ": ") + std::string(what));
  }
};

}  // namespace detail

namespace {

const toml::node& node_of(const void* p) {
  return *static_cast<const toml::node*>(p);
}
const toml::table& table_of(const void* p) {
  return *static_cast<const toml::table*>(p);
}

// What was found, in a few words.
std::string describe(const toml::node& node) {
  if (const auto* s = node.as_string()) return "\"" + escape(s->get(), 60) + "\"";
  if (const auto* i = node.as_integer()) return std::to_string(i->get());
  if (const auto* f = node.as_floating_point()) return std::to_string(f->get());
  if (const auto* b = node.as_boolean()) return b->get() ? "true" : "false";
  if (node.is_array()) return "a list";
  if (node.is_table()) return "a table";
  return "a date or time";
}

Error expected(const toml::node& node, std::string_view what) {
  return error("found " + describe(node) + "; expected " + std::string(what));
}

Result<std::string> to_choice(const toml::node& node, std::span<const std::string_view> allowed) {
  const auto* s = node.as_string();
  if (s != nullptr && std::find(allowed.begin(), allowed.end(), s->get()) != allowed.end()) return s->get();
  std::string what = one_of(allowed);
  if (s != nullptr) {
    if (const std::string_view near = nearest(s->get(), allowed); !near.empty()) {
      what += " (did you mean \"" + std::string(near) + "\"?)";
    }
  }
  return expected(node, what);
}

Result<std::string> to_text(const toml::node& node) {
  if (const auto* s = node.as_string()) return s->get();
  return expected(node, "a string");
}

Result<std::int64_t> to_integer(const toml::node& node, std::int64_t min, std::int64_t max) {
  const auto* i = node.as_integer();
  if (i != nullptr && i->get() >= min && i->get() <= max) return i->get();
  return expected(node, "a whole number from " + std::to_string(min) + " to " + std::to_string(max));
}

std::string plain(double v) {
  std::string s = std::to_string(v);
  s.erase(s.find_last_not_of('0') + 1);
  if (s.back() == '.') s.pop_back();
  return s;
}

Result<double> to_number(const toml::node& node, double min, double max) {
  std::optional<double> v;
  if (const auto* f = node.as_floating_point()) v = f->get();
  if (const auto* i = node.as_integer()) v = static_cast<double>(i->get());
  if (v && std::isfinite(*v) && *v >= min && *v <= max) return *v;
  return expected(node, "a number from " + plain(min) + " to " + plain(max));
}

Result<Duration> to_duration(const toml::node& node, Duration min) {
  const auto* s = node.as_string();
  if (s == nullptr) return expected(node, "a duration such as \"1.5ms\"");
  Result<Duration> d = parse_duration(s->get());
  if (d && *d < min)
    return error("found \"" + s->get() + "\"; expected at least \"" + format_duration(min) + "\"");
  return d;
}

// Whether some key has more than `most` parts ("a.b.c" has three). Every part becomes a table inside a table,
// and toml++ destroys them recursively: a key of a million parts would overflow the stack. Counts the dots
// outside strings and comments since the last character that no key contains.
bool has_key_of_more_parts(std::string_view text, int most) {
  int parts = 1;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"' || c == '\'') {
      const std::string_view triple = c == '"' ? "\"\"\"" : "'''";
      const bool multi_line = text.substr(i).starts_with(triple);
      const std::string_view end = multi_line ? triple : triple.substr(0, 1);
      for (i += end.size(); i < text.size() && !text.substr(i).starts_with(end); ++i) {
        if (c == '"' && text[i] == '\\') ++i;
        // A string that is not closed on its line is no TOML; what follows is text again.
        if (!multi_line && i < text.size() && text[i] == '\n') break;
      }
      i += end.size() - 1;
      // Up to two more quotes belong to a multi-line string.
      for (int more = 0; multi_line && more < 2 && i + 1 < text.size() && text[i + 1] == c; ++more) ++i;
    } else if (c == '#') {
      i = std::min(text.find('\n', i), text.size());
      parts = 1;
    } else if (c == '.') {
      if (++parts > most) return true;
    } else if (std::string_view("[]{}=,\n").find(c) != std::string_view::npos) {
      parts = 1;
    }
  }
  return false;
}

}  // namespace

TomlTable::TomlTable(detail::TomlState* state, const void* table, std::string path)
    : state_(state),
      table_(table),
      path_(std::move(path)),
      asked_(std::make_shared<std::vector<std::string>>()) {}

const void* TomlTable::find(std::string_view key) {
  if (std::find(asked_->begin(), asked_->end(), key) == asked_->end()) asked_->emplace_back(key);
  return table_ == nullptr ? nullptr : static_cast<const void*>(table_of(table_).get(key));
}

bool TomlTable::has(std::string_view key) const {
  return table_ != nullptr && table_of(table_).contains(key);
}

void TomlTable::fail(std::string_view key, std::string_view what) {
  const void* node = table_ == nullptr ? nullptr : static_cast<const void*>(table_of(table_).get(key));
  const toml::source_region where = node != nullptr     ? node_of(node).source()
                                    : table_ != nullptr ? table_of(table_).source()
                                                        : toml::source_region{};
  state_->fail(where, path_ + std::string(key), what);
}

template <class T, class Convert>
T TomlTable::read(std::string_view key, const std::optional<T>& fallback, Convert&& convert) {
  const void* node = find(key);
  if (node == nullptr) {
    if (!fallback) fail(key, "is missing");
    return fallback.value_or(T{});
  }
  const Result<T> value = convert(node_of(node));
  if (value) return *value;
  fail(key, value.error().message);
  return fallback.value_or(T{});
}

template <class T, class Convert>
std::vector<T> TomlTable::read_list(std::string_view key, std::size_t max_count, Convert&& convert) {
  std::vector<T> out;
  const void* found = find(key);
  if (found == nullptr) return out;
  const toml::array* array = node_of(found).as_array();
  if (array == nullptr) {
    fail(key, expected(node_of(found), "a list").message);
    return out;
  }
  if (array->size() > max_count) {
    fail(key, "found a list of " + std::to_string(array->size()) + "; at most " + std::to_string(max_count) +
                  " entries are allowed");
    return out;
  }
  for (const toml::node& node : *array) {
    const Result<T> value = convert(node);
    if (!value) {
      state_->fail(node.source(), path_ + std::string(key) + "[" + std::to_string(out.size()) + "]",
                   value.error().message);
      return {};
    }
    out.push_back(*value);
  }
  return out;
}

std::string TomlTable::text(std::string_view key, std::optional<std::string> fallback) {
  return read<std::string>(key, fallback, to_text);
}

std::string TomlTable::choice(std::string_view key, std::span<const std::string_view> allowed,
                              std::optional<std::string> fallback) {
  return read<std::string>(key, fallback, [&](const toml::node& node) { return to_choice(node, allowed); });
}

std::int64_t TomlTable::integer(std::string_view key, std::int64_t min, std::int64_t max,
                                std::optional<std::int64_t> fallback) {
  return read<std::int64_t>(key, fallback,
                            [&](const toml::node& node) { return to_integer(node, min, max); });
}

double TomlTable::number(std::string_view key, double min, double max, std::optional<double> fallback) {
  return read<double>(key, fallback, [&](const toml::node& node) { return to_number(node, min, max); });
}

Duration TomlTable::duration(std::string_view key, Duration min, std::optional<Duration> fallback) {
  return read<Duration>(key, fallback, [&](const toml::node& node) { return to_duration(node, min); });
}

ByteCount TomlTable::bytes(std::string_view key, std::optional<ByteCount> fallback) {
  return read<ByteCount>(key, fallback, [&](const toml::node& node) -> Result<ByteCount> {
    if (const auto* s = node.as_string()) return parse_bytes(s->get());
    return expected(node, "a size such as \"64MiB\"");
  });
}

std::vector<std::string> TomlTable::texts(std::string_view key, std::size_t max_count) {
  return read_list<std::string>(key, max_count, to_text);
}

std::vector<std::string> TomlTable::choices(std::string_view key, std::span<const std::string_view> allowed) {
  std::vector<std::string> chosen;
  return read_list<std::string>(key, allowed.size(), [&](const toml::node& node) -> Result<std::string> {
    auto word = to_choice(node, allowed);
    if (!word) return word;
    if (std::find(chosen.begin(), chosen.end(), *word) != chosen.end()) {
      return error("found \"" + *word + "\" for the second time; once is enough");
    }
    chosen.push_back(*word);
    return word;
  });
}

std::vector<std::int64_t> TomlTable::integers(std::string_view key, std::int64_t min, std::int64_t max,
                                              std::size_t max_count) {
  return read_list<std::int64_t>(key, max_count,
                                 [&](const toml::node& node) { return to_integer(node, min, max); });
}

std::vector<double> TomlTable::numbers(std::string_view key, double min, double max, std::size_t max_count) {
  return read_list<double>(key, max_count, [&](const toml::node& node) { return to_number(node, min, max); });
}

std::vector<Duration> TomlTable::durations(std::string_view key, Duration min, std::size_t max_count) {
  return read_list<Duration>(key, max_count, [&](const toml::node& node) { return to_duration(node, min); });
}

TomlTable TomlTable::table(std::string_view key) {
  const void* node = find(key);
  const std::string path = path_ + std::string(key) + ".";
  if (node != nullptr && !node_of(node).is_table()) {
    fail(key, expected(node_of(node), "a table").message);
    node = nullptr;
  }
  return TomlTable(state_, node, path);
}

std::vector<TomlTable> TomlTable::tables(std::string_view key) {
  std::vector<TomlTable> out;
  const void* node = find(key);
  if (node == nullptr) return out;
  const toml::array* array = node_of(node).as_array();
  const bool all_tables = array != nullptr && std::all_of(array->begin(), array->end(),
                                                          [](const toml::node& n) { return n.is_table(); });
  if (!all_tables) {
    fail(key, expected(node_of(node), "tables, written [[" + path_ + std::string(key) + "]]").message);
    return out;
  }
  for (const toml::node& entry : *array) {
    const std::string path = path_ + std::string(key) + "[" + std::to_string(out.size()) + "].";
    out.push_back(TomlTable(state_, static_cast<const void*>(entry.as_table()), path));
  }
  return out;
}

std::vector<std::pair<std::string, TomlTable>> TomlTable::named_tables(std::string_view key) {
  std::vector<std::pair<std::string, TomlTable>> out;
  TomlTable parent = table(key);
  if (parent.table_ == nullptr) return out;
  for (const auto& [name, node] : table_of(parent.table_)) {
    if (!node.is_table()) {
      parent.fail(name.str(), expected(node, "a table").message);
      return {};
    }
    out.emplace_back(std::string(name.str()), TomlTable(state_, static_cast<const void*>(node.as_table()),
                                                        parent.path_ + std::string(name.str()) + "."));
  }
  // toml++ sorts keys; people expect the order of the file.
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    const auto line = [](const TomlTable& t) { return table_of(t.table_).source().begin.line; };
    return line(a.second) < line(b.second);
  });
  return out;
}

void TomlTable::close() {
  if (table_ == nullptr) return;
  const std::vector<std::string_view> known(asked_->begin(), asked_->end());
  for (const auto& [key, node] : table_of(table_)) {
    if (std::find(known.begin(), known.end(), key.str()) != known.end()) continue;
    const std::string_view near = nearest(key.str(), known);
    state_->fail(key.source(), path_ + escape(key.str(), 60),
                 near.empty() ? "unknown key; allowed here: " + one_of(known)
                              : "unknown key; did you mean \"" + std::string(near) + "\"?");
  }
}

TomlDocument::TomlDocument(std::string_view text, std::string file)
    : state_(std::make_unique<detail::TomlState>()) {
  state_->file = std::move(file);
  constexpr int kMostParts = 16;
  if (has_key_of_more_parts(text, kMostParts)) {
    state_->fail({}, "", "a key has more than " + std::to_string(kMostParts) + " parts");
    return;
  }
  try {
    state_->root = toml::parse(text, state_->file);
  } catch (const toml::parse_error& e) {
    state_->fail(e.source(), "", "not TOML: " + std::string(e.description()));
  }
}

TomlDocument::~TomlDocument() = default;

TomlTable TomlDocument::root() {
  return TomlTable(state_.get(), static_cast<const void*>(&state_->root), "");
}

Result<void> TomlDocument::finish() const {
  if (state_->first_error) return *state_->first_error;
  return {};
}

}  // namespace einet
