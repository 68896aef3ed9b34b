#include "evaluation/kill.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include "config/text.h"

namespace einet {
namespace {

constexpr std::array<std::string_view, 3> kKinds{"uniform", "exponential", "normal"};
constexpr double kMaxPercent = 1e6;

Result<double> parse_time(std::string_view text, Duration whole) {
  if (!text.ends_with('%')) {
    const auto duration = parse_duration(text);
    if (!duration) return duration.error();
    return static_cast<double>(duration->count());
  }
  const std::string_view number = text.substr(0, text.size() - 1);
  double percent = 0;
  const auto [end, code] =
      std::from_chars(number.data(), number.data() + number.size(), percent, std::chars_format::fixed);
  if (code != std::errc{} || end != number.data() + number.size() ||
      !(percent >= 0 && percent <= kMaxPercent)) {
    return error("found \"" + escape(text, 60) +
                 "\"; expected a time (\"1.5ms\") or a percentage from 0% on");
  }
  return percent / 100 * static_cast<double>(whole.count());
}

}  // namespace

Result<Survival> parse_kill(std::string_view text, Duration whole) {
  const std::string place = "kill \"" + escape(text, 60) + "\"";
  const std::size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  std::string_view rest;
  if (colon != std::string_view::npos) {
    rest = text.substr(colon + 1);
  } else if (kind == "uniform") {
    rest = "0%,100%";
  } else if (kind == "exponential") {
    rest = "50%";
  } else if (kind == "normal") {
    rest = "50%,25%";
  }
  const std::size_t expected = kind == "exponential" ? 1 : 2;
  if (std::find(kKinds.begin(), kKinds.end(), kind) == kKinds.end()) {
    return error(place + ": expected " + one_of(kKinds) + ", sample:FILE, or a file SURVIVAL.toml");
  }
  std::vector<double> times;
  for (std::size_t comma = 0; comma != std::string_view::npos;) {
    comma = rest.find(',');
    const auto time = parse_time(rest.substr(0, comma), whole);
    if (!time) return within(place, time.error());
    times.push_back(*time);
    if (comma != std::string_view::npos) rest.remove_prefix(comma + 1);
  }
  if (times.size() != expected) {
    return error(place + ": found " + std::to_string(times.size()) + " times; " + std::string(kind) +
                 " takes " +
                 (kind == "uniform"  ? "FROM,TO"
                  : kind == "normal" ? "MEAN,SD"
                                     : "MEAN"));
  }
  const auto survival = kind == "uniform"       ? Survival::uniform(times[0], times[1])
                        : kind == "exponential" ? Survival::exponential(times[0])
                                                : Survival::normal(times[0], times[1]);
  if (!survival) return within(place, survival.error());
  return survival;
}

Result<Survival> parse_kill_sample(std::string_view text, const std::string& file) {
  const auto times = parse_durations(text, file);
  if (!times) return times.error();
  if (times->empty()) return error(escape(file) + ": found no kill times; expected a duration per line");
  std::vector<double> kills;
  for (const Duration t : *times) kills.push_back(static_cast<double>(t.count()));
  return Survival::sample(kills);
}

}  // namespace einet
