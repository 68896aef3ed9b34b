#include "tools/einet/context.h"

#include <ostream>

#include "tools/einet/exit_code.h"

namespace einet::cli {

Result<client::Client> connect(const Context& context) {
  client::Options options;
  options.name = "einet";
  options.tenant = context.tenant;
  options.timeout = context.timeout;
  return client::Client::connect(context.socket, options);
}

int fail(const Context& context, const Error& e, int code) {
  context.err << "einet: " << e.message << "\n";
  return code;
}

int fail(const Context& context, const Error& e) {
  return fail(context, e, e.refused ? kFailed : kUnreachable);
}

int fail(const Context& context, const Error& e, const client::Client& client) {
  return fail(context, e, client.connected() ? kFailed : kUnreachable);
}

}  // namespace einet::cli
