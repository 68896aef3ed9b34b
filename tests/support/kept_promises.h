// Stands for the core in tests of admission in the daemon: keeps what it is told.
#pragma once

#include <map>

#include <gtest/gtest.h>

#include "daemon/einetd/tasks.h"

namespace einet::test {

class KeptPromises final : public Reservations {
 public:
  void reserve(const Task& task, const Reservation& reservation) override {
    tasks.insert_or_assign(task.id, reservation);
  }
  void unreserve(TaskId task) override { EXPECT_EQ(tasks.erase(task), 1u); }
  void set_share(TenantId tenant, const Share& share) override { shares.insert_or_assign(tenant, share); }

  std::map<TaskId, Reservation> tasks;
  std::map<TenantId, Share> shares;
};

}  // namespace einet::test
