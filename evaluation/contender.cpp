#include "evaluation/contender.h"

#include <array>
#include <charconv>
#include <utility>

#include "config/check.h"
#include "config/text.h"

namespace einet {
namespace {

constexpr std::string_view kConfidence = "confidence:";
constexpr std::string_view kExits = "exits:";
constexpr std::array<std::string_view, 14> kUsual{
    "exact", "hybrid",        "greedy",        "random",        "statistics", "static:25", "static:50",
    "all",   "confidence:90", "confidence:95", "confidence:99", "single",     "oracle",    "static:100"};

Contender::Kind kind_of(const Planner& planner) {
  switch (planner.kind) {
    case Planner::Kind::all:
    case Planner::Kind::fraction:
    case Planner::Kind::single:
      return Contender::Kind::fixed;
    case Planner::Kind::exact:
    case Planner::Kind::hybrid:
    case Planner::Kind::greedy:
    case Planner::Kind::random:
      break;
  }
  return Contender::Kind::online;
}

// Without what follows "+".
Result<Contender> parse_plain(std::string_view text) {
  Contender contender;
  contender.name = std::string(text);
  constexpr std::array<std::pair<std::string_view, Contender::Kind>, 3> kBesideSamples{
      {{"statistics", Contender::Kind::statistics},
       {"oracle", Contender::Kind::oracle},
       {"oracle-truth", Contender::Kind::truth}}};
  for (const auto& [name, kind] : kBesideSamples) {
    if (text != name) continue;
    contender.kind = kind;
    return contender;
  }
  if (text.starts_with(kExits)) {
    const auto exits = parse_exits(text.substr(kExits.size()));
    if (!exits) return within("planner exits", exits.error());
    contender.kind = Contender::Kind::given;
    contender.exits = *exits;
    return contender;
  }
  if (text.starts_with(kConfidence)) {
    const std::string_view number = text.substr(kConfidence.size());
    const auto [end, code] = std::from_chars(number.data(), number.data() + number.size(), contender.percent);
    if (code != std::errc{} || end != number.data() + number.size() || contender.percent < 1 ||
        contender.percent > 100) {
      return error("planner confidence:P: found \"" + escape(number, 60) +
                   "\"; expected a whole number of percent from 1 to 100");
    }
    contender.kind = Contender::Kind::confidence;
    return contender;
  }
  if (const auto planner = parse_planner(text)) {
    contender.kind = kind_of(*planner);
    contender.planner = *planner;
    return contender;
  } else if (text.starts_with("hybrid:") || text.starts_with("random:")) {
    return planner.error();
  }
  std::string message = "planner: found \"" + escape(text, 60) + "\"; expected " + one_of(kUsual) +
                        " (hybrid:m, random:N, confidence:P, exits:0,2 and oracle-truth too)";
  if (const std::string_view near = nearest(text, kUsual); !near.empty()) {
    message += "; did you mean \"" + std::string(near) + "\"?";
  }
  return error(std::move(message));
}

}  // namespace

bool Contender::is_static() const {
  return kind == Kind::given || (kind == Kind::fixed && planner.kind != Planner::Kind::single);
}

Result<Contender> parse_contender(std::string_view text) {
  std::size_t plus = text.find('+');
  auto contender = parse_plain(text.substr(0, plus));
  if (!contender) return contender;
  contender->name = std::string(text);
  while (plus != std::string_view::npos) {
    const std::size_t begin = plus + 1;
    plus = text.find('+', begin);
    const std::string_view word = text.substr(begin, plus == std::string_view::npos ? plus : plus - begin);
    const auto aggregation = parse_aggregation(word);
    const auto expectation = parse_expectation(word);
    if ((aggregation && contender->aggregation) || (expectation && contender->expectation)) {
      return error("planner \"" + escape(text, 60) + "\": found two " +
                   (aggregation ? "aggregations" : "kinds of expectations") + "; one is enough");
    }
    if (aggregation) contender->aggregation = *aggregation;
    if (expectation) contender->expectation = *expectation;
    if (!aggregation && !expectation) {
      return error("planner \"" + escape(text, 60) + "\": found \"" + escape(word, 60) +
                   "\"; expected last, most-confident, product, discounted, lookalikes, predictor or "
                   "statistics behind +");
    }
  }
  return contender;
}

std::vector<Contender> usual_contenders() {
  std::vector<Contender> contenders;
  for (const std::string_view name : kUsual) {
    if (name == "static:100") continue;  // the same as all
    auto contender = parse_contender(name);
    EINET_CHECK(contender.has_value(), "the usual names are names");
    contenders.push_back(std::move(*contender));
  }
  return contenders;
}

}  // namespace einet
