#include "daemon/einetd/intake.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "config/text.h"

namespace einet {
namespace {

using wire::Rejected;
using Objection = std::optional<Rejection>;

Rejection reject(Rejected::Reason reason, std::string words) {
  return {reason, std::move(words)};
}

template <class Shape>
std::string shape_text(const Shape& shape) {
  std::string out;
  int shown = 0;
  for (const auto extent : shape) {
    if (++shown > 8) return out + "x…";
    out += (out.empty() ? "" : "x") + std::to_string(extent);
  }
  return out.empty() ? "none" : out;
}

struct InputBytes {
  lane::InputType type{};
  std::uint64_t element = 0;
  std::uint64_t bytes = 0;
};

Objection check_input(const wire::Submit& s, const CatalogModel& model, InputBytes& input) {
  if (s.dtype() != wire::U8 && s.dtype() != wire::F32) {
    return reject(Rejected::WRONG_INPUT,
                  "dtype " + std::to_string(s.dtype()) + " is unknown; allowed: U8 or F32");
  }
  input.type = s.dtype() == wire::U8 ? lane::InputType::u8 : lane::InputType::f32;
  input.element = s.dtype() == wire::U8 ? 1 : 4;
  input.bytes = model.elements() * input.element;
  const std::vector<int>& wanted = model.description.input;
  if (!std::equal(s.shape().begin(), s.shape().end(), wanted.begin(), wanted.end(),
                  [](std::uint32_t a, int b) { return a == static_cast<std::uint32_t>(b); })) {
    return reject(Rejected::WRONG_INPUT, "the input's shape is " + shape_text(s.shape()) + "; model " +
                                             model.name + " takes " + shape_text(wanted));
  }
  std::uint64_t given = 0;
  switch (s.input_case()) {
    case wire::Submit::kInlineBytes:
      given = s.inline_bytes().size();
      break;
    case wire::Submit::kRegion:
      given = s.region().length();
      if (s.region().offset() % input.element != 0) {
        return reject(Rejected::WRONG_INPUT, "the offset " + std::to_string(s.region().offset()) +
                                                 " is not a multiple of the element size, 4");
      }
      break;
    case wire::Submit::INPUT_NOT_SET:
      return reject(Rejected::WRONG_INPUT, "there is no input; send inline_bytes or a region slice");
  }
  if (given != input.bytes) {
    return reject(Rejected::WRONG_INPUT, "the input has " + std::to_string(given) + " bytes; " +
                                             shape_text(wanted) + (input.element == 1 ? " U8" : " F32") +
                                             " has " + std::to_string(input.bytes));
  }
  return std::nullopt;
}

// base + after, or nothing if that is no instant that this daemon can reach.
std::optional<TimePoint> instant(std::int64_t base_ns, std::int64_t after_ns) {
  constexpr std::int64_t kEnd = kNever.time_since_epoch().count();
  if (base_ns < 0 || base_ns >= kEnd || after_ns < 0 || after_ns >= kEnd - base_ns) return std::nullopt;
  return TimePoint{Duration{base_ns + after_ns}};
}

Objection check_times(const wire::Submit& s, TimePoint received, JobSpec& spec) {
  const std::int64_t now = received.time_since_epoch().count();
  std::optional<TimePoint> release = received;
  if (s.release_case() == wire::Submit::kReleaseAtNs) release = instant(s.release_at_ns(), 0);
  if (s.release_case() == wire::Submit::kReleaseInNs) release = instant(now, s.release_in_ns());
  if (!release) return reject(Rejected::BAD_ARGUMENT, "the release is negative or beyond 2^62 ns");
  spec.release = std::max(*release, received);
  if (s.deadline_case() == wire::Submit::DEADLINE_NOT_SET) return std::nullopt;

  const std::optional<TimePoint> deadline =
      s.deadline_case() == wire::Submit::kDeadlineAtNs
          ? instant(s.deadline_at_ns(), 0)
          : instant(release->time_since_epoch().count(), s.deadline_in_ns());
  if (!deadline) return reject(Rejected::BAD_ARGUMENT, "the deadline is negative or beyond 2^62 ns");
  // Of a job that names no release none is spoken of.
  const bool speaks_of_release =
      s.release_case() != wire::Submit::RELEASE_NOT_SET || s.deadline_case() != wire::Submit::kDeadlineAtNs;
  if (*deadline <= *release && speaks_of_release) {
    return reject(Rejected::DEADLINE_BEFORE_RELEASE, "the deadline is " +
                                                         format_duration_short(*release - *deadline) +
                                                         " before the release; it must be after it");
  }
  if (*deadline <= received) {
    return reject(
        Rejected::DEADLINE_IN_PAST,
        "the deadline was " + format_duration_short(received - *deadline) + " before the job was received");
  }
  spec.deadline = *deadline;
  return std::nullopt;
}

Objection check_arguments(const wire::Submit& s, const CatalogModel& model, JobSpec& spec) {
  const int blocks = model.description.blocks;
  if (s.has_mandatory_exit()) {
    if (s.mandatory_exit() >= static_cast<std::uint32_t>(blocks)) {
      return reject(Rejected::BAD_ARGUMENT, "mandatory_exit is " + std::to_string(s.mandatory_exit()) +
                                                "; model " + model.name + " has exits 0 to " +
                                                std::to_string(blocks - 1));
    }
    spec.mandatory_exit = static_cast<int>(s.mandatory_exit());
  }
  if (s.has_target_confidence()) {
    if (!(s.target_confidence() > 0 && s.target_confidence() <= 1)) {
      return reject(Rejected::BAD_ARGUMENT, "target_confidence is " + std::to_string(s.target_confidence()) +
                                                "; allowed: above 0, at most 1");
    }
    spec.target_confidence = static_cast<double>(s.target_confidence());
  }
  if (s.exits() != 0) {
    if (s.plan() != wire::ALL) {
      return reject(Rejected::BAD_ARGUMENT, "exits are chosen with plan ALL only");
    }
    if (blocks < kMaxBlocks && s.exits() >> blocks != 0) {
      return reject(Rejected::BAD_ARGUMENT,
                    "exits has exit " + std::to_string(63 - std::countl_zero(s.exits())) + "; model " +
                        model.name + " has exits 0 to " + std::to_string(blocks - 1));
    }
    const int first = std::countr_zero(s.exits());
    if (spec.task != TaskId{} && first != spec.mandatory_exit) {
      return reject(Rejected::BAD_ARGUMENT,
                    "the first of exits is " + std::to_string(first) +
                        "; what is reserved for a job of a task executes the task's mandatory exit, " +
                        std::to_string(spec.mandatory_exit) + ", and none before it: begin with that one");
    }
    if (spec.mandatory_exit > 0 && s.exits() >> spec.mandatory_exit == 0) {
      return reject(Rejected::BAD_ARGUMENT,
                    "exits has none from mandatory_exit, " + std::to_string(spec.mandatory_exit) + ", on");
    }
    spec.exits = s.exits();
  }
  switch (s.plan()) {
    case wire::EXACT:
      spec.plan = PlanMode::exact;
      return std::nullopt;
    case wire::ALL:
      spec.plan = PlanMode::all;
      return std::nullopt;
    case wire::LAST:
      spec.plan = PlanMode::last;
      return std::nullopt;
    default:
      return reject(Rejected::BAD_ARGUMENT,
                    "plan " + std::to_string(s.plan()) + " is unknown; allowed: EXACT, ALL or LAST");
  }
}

// Far beyond what a network is made for, and far enough from the largest float that neither a package's
// normalisation (deviations are at least 1e-6) nor layers of ordinary weights bring it there.
constexpr float kLargestInput = 1e12F;

Objection check_values(std::span<const std::byte> bytes) {
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(float)) {
    float value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    if (std::abs(value) <= kLargestInput) continue;
    char found[32];
    std::snprintf(found, sizeof found, "%g", static_cast<double>(value));
    return reject(Rejected::INPUT_NOT_FINITE, "element " + std::to_string(at / sizeof value) +
                                                  " of the input is " +
                                                  (std::isnan(value)   ? "NaN"
                                                   : std::isinf(value) ? "infinite"
                                                                       : found) +
                                                  "; every element must be from -1e12 to 1e12");
  }
  return std::nullopt;
}

Rejected::Reason reason_of(QuotaRefusal quota) {
  switch (quota) {
    case QuotaRefusal::jobs_of_tenant:
      return Rejected::QUOTA_JOBS;
    case QuotaRefusal::bytes_of_tenant:
      return Rejected::QUOTA_BYTES;
    case QuotaRefusal::jobs_of_all:
      return Rejected::QUEUE_FULL;
  }
  return Rejected::UNSPECIFIED;
}

}  // namespace

// Null: a best-effort job.
boost::system::result<const Task*, Rejection> Intake::task_of(const wire::Submit& s, TenantId tenant) const {
  if (s.task().empty()) return nullptr;
  const std::string called = "task \"" + escape(s.task(), 64) + "\"";
  const Task* task = tasks_.find(s.task(), tenant);
  if (task == nullptr) {
    return reject(Rejected::NO_SUCH_TASK, "there is no " + called + " of tenant " +
                                              tenants_.config(tenant).name + "; see: einet task list");
  }
  if (!task->suspended.empty()) {
    return reject(Rejected::TASK_SUSPENDED, called + " is suspended: " + task->suspended);
  }
  const std::string& model = catalog_.model(task->model).name;
  if (!s.model().empty() && s.model() != model) {
    return reject(Rejected::BAD_ARGUMENT, called + " is of model " + model + ", the job of model \"" +
                                              escape(s.model(), 64) + "\"; submit it to " + model);
  }
  const char* given = s.deadline_case() != wire::Submit::DEADLINE_NOT_SET ? "deadline"
                      : s.priority() != 0                                 ? "priority"
                      : s.has_mandatory_exit()                            ? "mandatory exit"
                                                                          : nullptr;
  if (given != nullptr) {
    return reject(Rejected::BAD_ARGUMENT,
                  "a job of " + called + " has its " + given + " from the task; leave it out");
  }
  return task;
}

boost::system::result<Submission, Rejection> Intake::check(const wire::Submit& s, TenantId tenant,
                                                           const Regions& regions, TimePoint received) {
  const auto task = task_of(s, tenant);
  if (!task) return task.error();
  const Result<ModelId> id = *task != nullptr ? (*task)->model : catalog_.find(s.model());
  if (!id) return reject(Rejected::UNKNOWN_MODEL, id.error().message);
  const CatalogModel& model = catalog_.model(*id);
  if (!model.loaded()) return reject(Rejected::MODEL_REFUSED, "model " + model.name + ": " + model.reason);

  Submission job;
  job.spec.tenant = tenant;
  job.spec.model = *id;
  job.spec.times = model.times;
  job.spec.priority = s.priority();
  if (*task != nullptr) {
    job.spec.task = (*task)->id;
    job.spec.priority = (*task)->priority;
    job.spec.mandatory_exit = (*task)->mandatory_exit;
  }
  InputBytes input;
  if (Objection r = check_input(s, model, input)) return *r;
  if (Objection r = check_arguments(s, model, job.spec)) return *r;
  if (Objection r = check_times(s, received, job.spec)) return *r;
  if (*task != nullptr) job.spec.deadline = std::min(kNever, job.spec.release + (*task)->deadline);
  const TenantConfig& limits = tenants_.config(tenant);
  if (s.priority() > limits.max_priority || s.priority() < -kMaxPriority) {
    return reject(Rejected::PRIORITY_CEILING, "priority " + std::to_string(s.priority()) + "; tenant " +
                                                  limits.name + " may use " + std::to_string(-kMaxPriority) +
                                                  " to " + std::to_string(limits.max_priority));
  }

  auto charge = tenants_.submit(tenant, ByteCount{input.bytes});
  if (!charge) return reject(reason_of(charge.error().quota), charge.error().words);
  job.charge = std::move(*charge);
  std::optional<ArenaBlock> block = arena_.allocate(input.bytes);
  if (!block) {
    return reject(Rejected::QUEUE_FULL, "no room for an input of " + format_bytes(ByteCount{input.bytes}) +
                                            ": " + format_bytes(arena_.used()) + " of " +
                                            format_bytes(arena_.capacity()) +
                                            " are in use (limits.arena); try again later");
  }
  job.input = std::move(*block);
  job.input_type = input.type;
  if (s.input_case() == wire::Submit::kRegion) {
    if (auto ok = regions.copy(s.region().region(), s.region().offset(), job.input.bytes()); !ok) {
      return reject(Rejected::WRONG_INPUT, ok.error().message);
    }
  } else if (input.bytes > 0) {
    std::memcpy(job.input.bytes().data(), s.inline_bytes().data(), input.bytes);
  }
  if (input.type == lane::InputType::f32) {
    if (Objection r = check_values(job.input.bytes())) return *r;
  }
  return job;
}

}  // namespace einet
