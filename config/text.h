// Small text helpers that every folder needs: escaping what came from outside, and naming what was probably
// meant.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace einet {

// Printable ASCII stays; quotes, backslashes, control and non-ASCII bytes become \xNN. At most `limit` bytes
// of input are used ("…" says that more followed). Whatever a client sent goes through this before it reaches
// a log.
std::string escape(std::string_view text, std::size_t limit = 200);

// The same for sentences that come from outside, such as a daemon's words: quotes and backslashes stay too.
std::string printable(std::string_view text, std::size_t limit = 1000);

// The candidate nearest to `word` (edit distance, swaps of neighbours included, <= 3 and at most half its
// length), or "" if none is near.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

// "a, b or c"
std::string one_of(std::span<const std::string_view> names);

}  // namespace einet
