// What every command of `einet` is given: where the daemon is, where words and data go, and in which form.
#pragma once

#include <iosfwd>
#include <string>

#include "config/time.h"
#include "ipc/client/client.h"

namespace einet::cli {

enum class Output { table, json };  // tables for people, JSON for programs

struct Context {
  std::string socket;
  std::string tenant;  // "": the first that this user may act as
  Duration timeout = client::kDefaultTimeout;
  Output output = Output::table;
  std::ostream& out;  // data
  std::ostream& err;  // words
};

// Connects as the context says. Error: words for `err`; fail() knows the exit code.
Result<client::Client> connect(const Context&);

// Prints "einet: words" to context.err and returns `code`.
int fail(const Context&, const Error&, int code);
// The same for a connection that was not made: kFailed if the daemon refuses it, else kUnreachable.
int fail(const Context&, const Error&);
// The same for a request that failed on this connection: kUnreachable if that is lost, else kFailed.
int fail(const Context&, const Error&, const client::Client&);

}  // namespace einet::cli
