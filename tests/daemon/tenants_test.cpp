// Users to tenants, and quotas that are right whatever ends a job.
#include "daemon/einetd/tenants.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace einet {
namespace {

using testing::HasSubstr;

DaemonConfig config() {
  DaemonConfig c;
  c.tenants = {{.name = "camera", .uid = 7, .max_jobs = 2, .max_bytes = ByteCount{100}, .max_connections = 1},
               {.name = "control", .uid = 7},
               {.name = "batch", .uid = 8, .max_jobs = 100}};
  c.limits.jobs = 4;
  return c;
}

TEST(Tenants, AUserActsAsItsFirstTenantOrTheOneItNames) {
  const DaemonConfig c = config();
  const Tenants tenants(c);
  EXPECT_EQ(*tenants.choose(7, ""), TenantId{0});
  EXPECT_EQ(*tenants.choose(7, "control"), TenantId{1});
  EXPECT_EQ(*tenants.choose(8, ""), TenantId{2});
  EXPECT_THAT(tenants.choose(7, "batch").error().message, HasSubstr("allowed: camera or control"));
  EXPECT_THAT(tenants.choose(7, "a\nb").error().message, HasSubstr("a\\x0ab"));
  EXPECT_THAT(tenants.choose(9, "").error().message, HasSubstr("uid 9 is not a tenant here"));
}

TEST(Tenants, DefaultIsEverybodyElseAndNobodyNamed) {
  DaemonConfig c = config();
  c.tenants.push_back({.name = "default"});
  const Tenants tenants(c);
  EXPECT_EQ(*tenants.choose(9, ""), TenantId{3});
  EXPECT_EQ(*tenants.choose(9, "default"), TenantId{3});
  EXPECT_FALSE(tenants.choose(9, "camera"));
  EXPECT_FALSE(tenants.choose(7, "default"));
}

TEST(Tenants, QuotasHoldAndChargesComeBack) {
  const DaemonConfig c = config();
  Tenants tenants(c);
  const TenantId camera{0};
  const TenantId batch{2};
  {
    auto connection = tenants.connect(camera);
    ASSERT_TRUE(connection);
    EXPECT_THAT(tenants.connect(camera).error().message, HasSubstr("max_connections"));

    auto first = tenants.submit(camera, ByteCount{60});
    ASSERT_TRUE(first);
    EXPECT_EQ(tenants.submit(camera, ByteCount{41}).error().quota, QuotaRefusal::bytes_of_tenant);
    EXPECT_EQ(tenants.submit(camera, ByteCount{~0ull}).error().quota, QuotaRefusal::bytes_of_tenant);
    auto second = tenants.submit(camera, ByteCount{40});
    ASSERT_TRUE(second);
    EXPECT_EQ(tenants.submit(camera, ByteCount{0}).error().quota, QuotaRefusal::jobs_of_tenant);
    auto third = tenants.submit(batch, ByteCount{1});
    auto fourth = tenants.submit(batch, ByteCount{1});
    EXPECT_EQ(tenants.submit(batch, ByteCount{1}).error().quota, QuotaRefusal::jobs_of_all);
    Tenants::Charge moved = std::move(*third);  // a charge counts once, wherever it is
    EXPECT_EQ(tenants.total().jobs, 4);
    EXPECT_EQ(tenants.use(camera).bytes, ByteCount{100});
  }
  EXPECT_EQ(tenants.total().jobs, 0);
  EXPECT_EQ(tenants.total().connections, 0);
  EXPECT_EQ(tenants.total().bytes, ByteCount{0});
  EXPECT_EQ(tenants.use(camera).jobs, 0);
  EXPECT_TRUE(tenants.connect(camera));
}

}  // namespace
}  // namespace einet
