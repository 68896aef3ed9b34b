// Small text helpers that every folder needs: escaping what came from outside, naming what was probably
// meant, names, and exits as people write them.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "config/ids.h"
#include "config/result.h"

namespace einet {

// Printable UTF-8 stays; quotes, backslashes, controls, what turns text around (bidi) and other bytes become
// \xNN. At most `limit` bytes of input are used ("…" says that more followed). Whatever a client sent goes
// through this before it reaches a log.
std::string escape(std::string_view text, std::size_t limit = 200);

// The same for sentences that come from outside, such as a daemon's words: quotes and backslashes stay too.
std::string printable(std::string_view text, std::size_t limit = 1000);

// Whether models and tasks may be called so: [A-Za-z0-9_.-]{1,64}.
bool is_plain_name(std::string_view text);

// The candidate nearest to `word` (edit distance, swaps of neighbours included, <= 3 and at most half its
// length), or "" if none is near.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

// "a, b or c"
std::string one_of(std::span<const std::string_view> names);

// "0,2": at least one exit, from 0 to kMaxBlocks - 1. Error: other text.
Result<ExitMask> parse_exits(std::string_view text);

}  // namespace einet
