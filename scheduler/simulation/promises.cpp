#include "scheduler/simulation/promises.h"

#include <algorithm>

namespace einet {
namespace {

Duration longest_on(const std::vector<std::shared_ptr<const ModelTimes>>& models, DeviceId device) {
  Duration longest{};
  for (const auto& model : models) longest = std::max(longest, model->longest_stretch(device));
  return longest;
}

}  // namespace

Promises::Promises(const AdmissionOptions& options, Core& core, Listener& listener)
    : admission_(options), core_(core), listener_(listener) {}

void Promises::add_lane(LaneId lane, DeviceId device, Preemption preemption) {
  admission_.add_lane(lane, device, preemption);
  if (std::find(devices_.begin(), devices_.end(), device) == devices_.end()) devices_.push_back(device);
}

bool Promises::add(const TaskRequest& request, TimePoint now) {
  if (!admission_.add(request)) return false;
  tell(now);
  return true;
}

void Promises::remove(TaskId task, TimePoint now) {
  admission_.remove(task);
  tell(now);
}

std::optional<Budget> Promises::add_budget(TenantId tenant, Duration amount, Duration window, TimePoint now) {
  const auto budget = admission_.add_budget(tenant, "tenant " + std::to_string(tenant.value), amount, window);
  if (!budget) return std::nullopt;
  tell(now);
  return *budget;
}

bool Promises::load(const std::vector<std::shared_ptr<const ModelTimes>>& models, TimePoint now) {
  if (!set_longest_stretches(models)) return false;
  for (std::size_t m = 0; m < models_.size(); ++m) {
    if (models_[m] == models[m] || admission_.replace_times(models_[m], models[m])) continue;
    // Back as it was, which fitted.
    while (m-- > 0) {
      if (models_[m] == models[m]) continue;
      EINET_CHECK(admission_.replace_times(models[m], models_[m]).has_value(), "what fitted fits again");
    }
    EINET_CHECK(set_longest_stretches(models_), "what fitted fits again");
    return false;
  }
  models_ = models;
  tell(now);
  return true;
}

bool Promises::set_longest_stretches(const std::vector<std::shared_ptr<const ModelTimes>>& models) {
  for (std::size_t d = 0; d < devices_.size(); ++d) {
    if (admission_.set_longest_stretch(devices_[d], longest_on(models, devices_[d]))) continue;
    while (d-- > 0) {
      const auto back = admission_.set_longest_stretch(devices_[d], longest_on(models_, devices_[d]));
      EINET_CHECK(back.has_value(), "what fitted fits again");
    }
    return false;
  }
  return true;
}

// Any change may change any reservation.
void Promises::tell(TimePoint now) {
  for (auto promised = promised_.begin(); promised != promised_.end();) {
    if (admission_.reservation(promised->first)) {
      ++promised;
      continue;
    }
    core_.unreserve(promised->first, now);
    listener_.unreserved(promised->first);
    promised = promised_.erase(promised);
  }
  std::vector<TaskId> told = admission_.tasks();
  std::stable_partition(told.begin(), told.end(), [&](TaskId task) { return promised_.contains(task); });
  for (const TaskId task : told) {
    const Reservation reservation = *admission_.reservation(task);
    const auto [promised, is_new] = promised_.try_emplace(task, reservation);
    if (!is_new && promised->second == reservation) continue;
    promised->second = reservation;
    listener_.reserved(task, reservation);
    core_.reserve(task, reservation, now);
  }
}

}  // namespace einet
