// Room for records: the reserve of a full disk, tenants' shares, and refusals that can't fill the log.
#include <sys/mount.h>

#include <fstream>

#include "audit/refusals.h"
#include "audit/reserve.h"
#include "audit/shares.h"
#include "base/json.h"
#include "support.h"

namespace bulkhead::audit {
namespace {

using std::chrono::seconds;

class Room : public AuditTest {
 protected:
  // What a principal of a tenant does, and what an operator does.
  static Record of_tenant(const std::string& tenant, int number = 0) {
    Record made = record(tenant, number);
    made.principal = "hmac-sha256:someone";
    made.credential = "jwt";
    return made;
  }
  static Record of_operator() {
    Record made = record("hospital");
    made.event = Event::TenantSuspended;
    made.principal = "operator";
    return made;
  }
  static std::string member(const std::string& line, std::string_view name) {
    auto document = base::json::Document::parse(line);
    return std::string(document->root()[name].as_string().value_or(""));
  }
  static std::int64_t number(const std::string& line, std::string_view name) {
    auto document = base::json::Document::parse(line);
    return document->root()[name].as_int().value_or(-1);
  }
  std::vector<std::string> events(std::string_view name) const {
    std::vector<std::string> found;
    for (const std::string& line : all_lines()) {
      if (member(line, "event") == name) found.push_back(line);
    }
    return found;
  }
};

TEST_F(Room, WhoMayUseTheReserve) {
  EXPECT_FALSE(may_use_reserve(of_tenant("hospital")));
  EXPECT_TRUE(may_use_reserve(of_operator()));
  Record end = of_tenant("hospital");
  end.concludes = true;
  EXPECT_TRUE(may_use_reserve(end)) << "the end of what began";
  EXPECT_TRUE(takes_from_share(end)) << "and still the tenant's own";
  Record alarm = record("hospital");
  alarm.event = Event::SealBroken;
  EXPECT_TRUE(may_use_reserve(alarm));
  EXPECT_FALSE(takes_from_share(alarm));
  Record stranger;
  stranger.event = Event::AuthenticationFailed;
  stranger.route = "/v1/files";
  EXPECT_FALSE(may_use_reserve(stranger)) << "a stranger must not be able to fill it";
  stranger.event = Event::RequestFailed;
  EXPECT_FALSE(may_use_reserve(stranger));
  Record closed = record("hospital");
  closed.credential = "api_key";
  EXPECT_FALSE(may_use_reserve(closed)) << "a principal whose tenant could not be opened has no name yet";
}

// A real file system of one mebibyte, filled to its end.
class FullDisk : public Room {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(options_.dir);
    if (::mount("tmpfs", options_.dir.c_str(), "tmpfs", 0, "size=1m,mode=0700") != 0) {
      GTEST_SKIP() << "needs the right to mount";
    }
    mounted_ = true;
  }
  void TearDown() override {
    log_.reset();
    if (mounted_) ::umount2(options_.dir.c_str(), MNT_DETACH);
  }
  void fill_disk() {
    std::ofstream ballast(options_.dir / "ballast", std::ios::binary | std::ios::app);
    const std::string piece(4096, 'x');
    while (ballast.write(piece.data(), static_cast<std::streamsize>(piece.size())).flush()) {
    }
  }
  void empty_disk() { std::filesystem::remove(options_.dir / "ballast"); }
  // Appends until a record of the tenant's is refused.
  void use_up_the_last_page() {
    for (int i = 0; i < 100 && log_->append(of_tenant("hospital", i)).wait(); ++i) {
    }
  }
  bool mounted_ = false;
};

TEST_F(FullDisk, OperatorsAndEndsAreStillRecordedAndNobodyElse) {
  options_.reserve_bytes = 512 << 10;
  open();
  append("hospital");
  fill_disk();
  use_up_the_last_page();
  EXPECT_FALSE(log_->append(of_tenant("hospital")).wait());
  EXPECT_FALSE(log_->healthy());
  Record end = of_tenant("hospital");
  end.event = Event::ApiKeyCreated;
  end.concludes = true;
  EXPECT_TRUE(log_->append(end).wait());
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(log_->append(of_operator()).wait()) << i;
  EXPECT_LT(log_->stats().reserve_held, options_.reserve_bytes);
  EXPECT_FALSE(log_->append(of_tenant("hospital")).wait()) << "what was given back is not the tenants'";
  // One batch of both: each gets its own answer, and what was refused does not stand there.
  auto refused = log_->append(of_tenant("hospital", 12345)), taken = log_->append(of_operator());
  EXPECT_FALSE(refused.wait());
  EXPECT_TRUE(taken.wait());
  for (const std::string& line : all_lines()) EXPECT_NE(member(line, "request_id"), "req-12345");
  empty_disk();
  EXPECT_TRUE(log_->append(of_tenant("hospital")).wait()) << "goes on by itself when there is room";
  EXPECT_TRUE(log_->healthy());
  EXPECT_EQ(log_->stats().reserve_held, options_.reserve_bytes) << "and the reserve is whole again";
  close();
  EXPECT_TRUE(judge().ok) << told(judge());
}

TEST_F(FullDisk, ControlWithoutAReserveNothingIsRecorded) {
  open();
  append("hospital");
  fill_disk();
  use_up_the_last_page();
  EXPECT_FALSE(log_->append(of_operator()).wait());
  empty_disk();
  EXPECT_TRUE(log_->append(of_operator()).wait());
}

// Nobody's refusals can use the reserve up: their counts wait for room, and only a stop writes them at once.
TEST_F(FullDisk, CountsWaitForRoomAndAreWrittenAtAStop) {
  options_.reserve_bytes = 512 << 10;
  open();
  RefusalBook refusals(*log_, clock_, {});
  Record refused = of_tenant("hospital");
  refused.event = Event::RequestRefused;
  ASSERT_TRUE(refusals.add(refused)->wait());
  EXPECT_FALSE(refusals.add(refused));
  fill_disk();
  use_up_the_last_page();
  clock_.advance(seconds(120));
  refusals.close_windows();
  EXPECT_TRUE(events("refusals_counted").empty());
  EXPECT_EQ(log_->stats().reserve_held, options_.reserve_bytes);
  refusals.close_all();
  EXPECT_EQ(events("refusals_counted").size(), 1u);
}

// What an earlier process left of the reserve stays its own on a disk that is still full.
TEST_F(FullDisk, AReserveThatWasUsedIsKeptAcrossARestart) {
  options_.reserve_bytes = 512 << 10;
  open();
  fill_disk();
  use_up_the_last_page();
  ASSERT_TRUE(log_->append(of_operator()).wait());
  close();
  fill_disk();
  open();
  ASSERT_TRUE(log_);
  EXPECT_FALSE(log_->healthy());
  EXPECT_GT(log_->stats().reserve_held, 0u);
  EXPECT_FALSE(log_->append(of_tenant("hospital")).wait());
  EXPECT_TRUE(log_->append(of_operator()).wait());
}

TEST_F(Room, ATenantThatUsedItsShareIsRefusedAndNobodyElse) {
  options_.tenant_bytes_per_hour = 2000;
  open();
  std::int64_t retry_after = 0;
  EXPECT_TRUE(log_->admit("hospital", retry_after));
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(log_->append(of_tenant("hospital", i)).wait());
  auto refused = log_->admit("hospital", retry_after);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(AuditError::ShareUsed));
  EXPECT_GT(retry_after, 0);
  EXPECT_TRUE(log_->admit("law-firm", retry_after)) << "a neighbour is not refused";
  clock_.advance(seconds(retry_after));
  EXPECT_TRUE(log_->admit("hospital", retry_after)) << "after the time that was said";
}

TEST_F(Room, OperatorsRecordsTakeNothingFromATenantsShare) {
  options_.tenant_bytes_per_hour = 2000;
  open();
  std::int64_t retry_after = 0;
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(log_->append(of_operator()).wait());
  EXPECT_TRUE(log_->admit("hospital", retry_after));
}

TEST_F(Room, ControlWithoutABoundNobodyIsRefused) {
  open();
  std::int64_t retry_after = 0;
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(log_->append(of_tenant("hospital", i)).wait());
  EXPECT_TRUE(log_->admit("hospital", retry_after));
}

class Refusals : public Room {
 protected:
  void SetUp() override { open(); }
  Record refusal(const std::string& tenant, const std::string& route = "/v1/files") {
    Record made = of_tenant(tenant);
    made.event = Event::RequestRefused;
    made.decision = "deny";
    made.reason = "forbidden";
    made.route = route;
    made.status = 403;
    made.time = clock_.wall();
    return made;
  }
  std::unique_ptr<RefusalBook> book(std::size_t kinds_max = 256) {
    return std::make_unique<RefusalBook>(*log_, clock_, RefusalBook::Options{seconds(60), kinds_max});
  }
};

TEST_F(Refusals, TheFirstIsARecordAndTheRestACount) {
  auto refusals = book();
  auto first = refusals->add(refusal("hospital"));
  ASSERT_TRUE(first);
  ASSERT_TRUE(first->wait());
  clock_.advance(seconds(1));
  const std::string first_counted = base::rfc3339(clock_.wall());
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(refusals->add(refusal("hospital")));
  clock_.advance(seconds(30));
  EXPECT_FALSE(refusals->add(refusal("hospital")));
  const std::string last_counted = base::rfc3339(clock_.wall());
  refusals->close_windows();
  EXPECT_EQ(all_lines().size(), 1u) << "the window is open still";
  clock_.advance(seconds(30));
  refusals->close_windows();
  ASSERT_EQ(all_lines().size(), 2u);
  const std::string counted = all_lines().back();
  EXPECT_EQ(member(counted, "event"), "refusals_counted");
  EXPECT_EQ(number(counted, "count"), 1001);
  EXPECT_EQ(member(counted, "first_time"), first_counted);
  EXPECT_EQ(member(counted, "last_time"), last_counted);
  for (std::string_view name : {"tenant", "principal", "credential", "route", "reason", "decision"}) {
    EXPECT_EQ(member(counted, name), member(all_lines().front(), name)) << name;
  }
  EXPECT_EQ(number(counted, "status"), 403);
  EXPECT_TRUE(refusals->add(refusal("hospital"))) << "the next window has its own first one";
}

TEST_F(Refusals, EveryKindHasItsOwnRecord) {
  auto refusals = book();
  std::vector<Record> kinds(7, refusal("hospital"));
  kinds[1].principal = "hmac-sha256:another";
  kinds[2].credential_id = "another";
  kinds[3].route = "/v1/models";
  kinds[4].reason = "rate_limit_exceeded";
  kinds[5].status = 429;
  kinds[6].tenant = "law-firm";
  for (const Record& each : kinds) EXPECT_TRUE(refusals->add(each));
  for (const Record& each : kinds) EXPECT_FALSE(refusals->add(each));
  refusals->close_all();
  EXPECT_EQ(events("refusals_counted").size(), kinds.size());
}

TEST_F(Refusals, KindsWithoutEndShareOneCountAndCostNoNeighbourAnything) {
  auto refusals = book(8);
  for (int i = 0; i < 100; ++i) refusals->add(refusal("hospital", "/v1/" + std::to_string(i)));
  EXPECT_TRUE(refusals->add(refusal("law-firm"))) << "a neighbour's first one is recorded";
  refusals->close_all();
  auto counted = events("refusals_counted");
  ASSERT_EQ(counted.size(), 1u);
  EXPECT_EQ(number(counted[0], "count"), 92);
  EXPECT_EQ(member(counted[0], "principal"), "");
  EXPECT_EQ(events("request_refused").size(), 9u);
}

TEST_F(Refusals, ATenantWithoutRoomIsCountedAndTheCountIsWritten) {
  close();
  options_.tenant_bytes_per_hour = 500;
  open();
  while (true) {
    std::int64_t retry_after = 0;
    if (!log_->admit("hospital", retry_after)) break;
    ASSERT_TRUE(log_->append(of_tenant("hospital")).wait());
  }
  auto refusals = book();
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(refusals->add(refusal("hospital")));
  EXPECT_TRUE(refusals->add(refusal("law-firm")));
  refusals->close_all();
  auto counted = events("refusals_counted");
  ASSERT_EQ(counted.size(), 1u);
  EXPECT_EQ(number(counted[0], "count"), 10);
}

TEST_F(Refusals, WhatTheLogDoesNotTakeGoesOnBeingCounted) {
  close();
  options_.queue_records_max = 0;
  open();
  auto refusals = book();
  auto first = refusals->add(refusal("hospital"));
  ASSERT_TRUE(first);
  EXPECT_FALSE(first->wait());
  refusals->count(refusal("hospital"));
  refusals->close_all();
  refusals->close_all();
  EXPECT_FALSE(refusals->add(refusal("hospital"))) << "its window was not lost";
}

}  // namespace
}  // namespace bulkhead::audit
