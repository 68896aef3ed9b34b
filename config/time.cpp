#include "config/time.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include "config/check.h"
#include "config/text.h"

namespace einet {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t ns;
  int digits;  // decimal places that still give whole nanoseconds
};
constexpr std::array<Unit, 4> kUnits{
    {{"ns", 1, 0}, {"us", 1'000, 3}, {"ms", 1'000'000, 6}, {"s", 1'000'000'000, 9}}};
constexpr std::int64_t kLimit = std::int64_t{1} << 62;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

Error bad(std::string_view text, std::string_view why) {
  return error("\"" + escape(text, 40) + "\" is not a duration: " + std::string(why));
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  constexpr std::string_view kForm = "write a number and a unit (ns, us, ms, s), such as \"1.5ms\"";
  std::size_t i = 0;
  while (i < text.size() && is_digit(text[i])) ++i;
  const std::string_view whole = text.substr(0, i);
  std::string_view fraction;
  if (i < text.size() && text[i] == '.') {
    const std::size_t start = ++i;
    while (i < text.size() && is_digit(text[i])) ++i;
    fraction = text.substr(start, i - start);
    if (fraction.empty()) return bad(text, kForm);
  }
  if (whole.empty()) return bad(text, kForm);
  const std::string_view name = text.substr(i);
  for (const Unit& unit : kUnits) {
    if (unit.name != name) continue;
    while (!fraction.empty() && fraction.back() == '0') fraction.remove_suffix(1);
    if (static_cast<int>(fraction.size()) > unit.digits)
      return bad(text, "it is not a whole number of nanoseconds");
    __extension__ __int128 ns = 0;  // wide enough that no product below overflows
    for (char c : whole) {
      ns = ns * 10 + (c - '0');
      if (ns * unit.ns >= kLimit) return bad(text, "it is 2^62 ns or more");
    }
    ns *= unit.ns;
    std::int64_t scale = unit.ns;
    for (char c : fraction) ns += (c - '0') * (scale /= 10);
    if (ns >= kLimit) return bad(text, "it is 2^62 ns or more");
    return Duration{static_cast<std::int64_t>(ns)};
  }
  return bad(text, kForm);
}

Result<std::vector<Duration>> parse_durations(std::string_view text, const std::string& file) {
  std::vector<Duration> durations;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const auto duration = parse_duration(text.substr(0, end));
    if (!duration) return within(escape(file) + ":" + std::to_string(durations.size() + 1), duration.error());
    durations.push_back(*duration);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return durations;
}

std::string format_duration(Duration d) {
  const bool negative = d.count() < 0;
  const std::int64_t ns = negative ? -d.count() : d.count();
  const Unit* unit = &kUnits[0];
  for (const Unit& u : kUnits) {
    if (ns >= u.ns && ns != 0) unit = &u;
  }
  std::string out = (negative ? "-" : "") + std::to_string(ns / unit->ns);
  if (const std::int64_t rest = ns % unit->ns; rest != 0) {
    std::string fraction = std::to_string(rest);
    fraction.insert(0, static_cast<std::size_t>(unit->digits) - fraction.size(), '0');
    fraction.erase(fraction.find_last_not_of('0') + 1);
    out += "." + fraction;
  }
  return out + std::string(unit->name);
}

std::string format_duration_short(Duration d) {
  const double ns = static_cast<double>(d.count());
  const double magnitude = ns < 0 ? -ns : ns;
  const Unit* unit = &kUnits[0];
  for (const Unit& u : kUnits) {
    if (magnitude >= static_cast<double>(u.ns)) unit = &u;
  }
  const double value = ns / static_cast<double>(unit->ns);
  const double size = value < 0 ? -value : value;
  const int places = unit->ns == 1 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%.*f%.*s", places, value, static_cast<int>(unit->name.size()),
                unit->name.data());
  return text.data();
}

TimePoint SystemClock::now() const {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return TimePoint{std::chrono::seconds{t.tv_sec} + Duration{t.tv_nsec}};
}

Duration thread_cpu_time() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return std::chrono::seconds{t.tv_sec} + Duration{t.tv_nsec};
}

void VirtualClock::advance_to(TimePoint to) {
  EINET_CHECK(to >= now_, "time is monotone");
  now_ = to;
}

}  // namespace einet
