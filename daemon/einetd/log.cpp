#include "daemon/einetd/log.h"

#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "config/text.h"

namespace einet {
namespace {
constexpr std::size_t kQueuedLines = 4096;
}

std::string format_log(std::string_view what, std::initializer_list<LogField> fields) {
  std::string line(what);
  for (const LogField& field : fields) {
    const bool quote = field.value.empty() || field.value.find_first_of(" =") != std::string::npos;
    line += ' ';
    line += field.key;
    line += quote ? "=\"" : "=";
    line += escape(field.value);
    if (quote) line += '"';
  }
  return line;
}

Log::Log(const std::string& level)
    : writer_(std::make_shared<spdlog::details::thread_pool>(kQueuedLines, 1)),
      logger_(
          std::make_shared<spdlog::async_logger>("einetd", std::make_shared<spdlog::sinks::stderr_sink_mt>(),
                                                 writer_, spdlog::async_overflow_policy::overrun_oldest)) {
  logger_->set_level(spdlog::level::from_str(level));
  logger_->set_pattern("%Y-%m-%dT%H:%M:%S.%f%z %l %v");
}

Log::~Log() {
  writer_.reset();  // writes the lines that are queued; only then may what it writes with go
}

bool Log::debugs() const {
  return logger_->should_log(spdlog::level::debug);
}
void Log::debug(std::string_view what, std::initializer_list<LogField> fields) {
  if (debugs()) logger_->debug(spdlog::string_view_t(format_log(what, fields)));
}
void Log::info(std::string_view what, std::initializer_list<LogField> fields) {
  logger_->info(spdlog::string_view_t(format_log(what, fields)));
}
void Log::warn(std::string_view what, std::initializer_list<LogField> fields) {
  logger_->warn(spdlog::string_view_t(format_log(what, fields)));
}
void Log::error(std::string_view what, std::initializer_list<LogField> fields) {
  logger_->error(spdlog::string_view_t(format_log(what, fields)));
}

}  // namespace einet
