// Reading the log: one tenant's lines for that tenant, bare facts for the operator.
#include "base/json.h"
#include "support.h"

namespace bulkhead::audit {
namespace {

class Reading : public AuditTest {
 protected:
  void SetUp() override {
    options_.checkpoint_records = 4;
    options_.segment_bytes_max = 1;  // several segments
    open();
    for (int i = 0; i < 12; ++i) {
      clock_.advance(std::chrono::seconds(60));
      Record made = record(i % 3 == 0 ? "hospital" : i % 3 == 1 ? "law-firm" : "", i);
      made.time = clock_.wall();
      made.principal = "hmac-sha256:someone";
      made.prompt_hash = "hmac-sha256:something";
      made.target = "file-secret";
      if (i == 3) made.decision = "deny";
      ASSERT_TRUE(log_->append(made).wait());
    }
    close();
    ASSERT_GT(segments().size(), 2u);
  }
  std::vector<std::string> ask(const Query& wanted) {
    auto found = query(options_.dir, wanted);
    EXPECT_TRUE(found);
    return found.value_or({});
  }
  static std::string member(const std::string& line, std::string_view name) {
    auto document = base::json::Document::parse(line);
    return std::string(document->root()[name].as_string().value_or(""));
  }
};

TEST_F(Reading, ATenantSeesItsOwnLinesOnly) {
  Query wanted;
  wanted.tenant = "hospital";
  auto mine = ask(wanted);
  ASSERT_EQ(mine.size(), 4u);
  for (const std::string& line : mine) EXPECT_EQ(member(line, "tenant"), "hospital");
  EXPECT_EQ(member(mine.front(), "request_id"), "req-9") << "newest first";
  wanted.tenant = "law-firm";
  EXPECT_EQ(ask(wanted).size(), 4u) << "control: the others are there";
  wanted.tenant = "hosp";
  EXPECT_TRUE(ask(wanted).empty()) << "no part of a name";
}

TEST_F(Reading, AnOperatorSeesFactsWithoutTenantDetail) {
  Query wanted;
  wanted.all_tenants = true;
  wanted.redact_tenant_detail = true;
  auto all = ask(wanted);
  ASSERT_EQ(all.size(), 12u);
  for (const std::string& line : all) {
    if (member(line, "tenant").empty()) continue;
    for (std::string_view hidden : {"principal", "prompt_hash", "target", "request_id", "session"}) {
      EXPECT_EQ(member(line, hidden), "") << hidden;
    }
    EXPECT_EQ(member(line, "event"), "search");
  }
  wanted.redact_tenant_detail = false;
  EXPECT_EQ(member(ask(wanted).front(), "principal"), "hmac-sha256:someone") << "control";
}

// An operator's act on a tenant is that tenant's to read and the operator's, whole, and no other tenant's.
TEST_F(Reading, WhatAnOperatorDidIsTheTenantsToReadToo) {
  open();
  Record act = record("hospital", 99);
  act.event = Event::TenantSuspended;
  act.principal = "operator";
  act.target = "hospital";
  ASSERT_TRUE(log_->append(act).wait());
  close();
  Query wanted;
  wanted.event = "tenant_suspended";
  wanted.tenant = "hospital";
  EXPECT_EQ(ask(wanted).size(), 1u);
  wanted.tenant = "law-firm";
  EXPECT_TRUE(ask(wanted).empty());
  wanted.all_tenants = wanted.redact_tenant_detail = true;
  ASSERT_EQ(ask(wanted).size(), 1u);
  EXPECT_EQ(member(ask(wanted).front(), "target"), "hospital");
}

TEST_F(Reading, PagesFollowEachOtherInBothDirections) {
  for (bool newest_first : {true, false}) {
    Query wanted;
    wanted.all_tenants = true;
    wanted.limit = 5;
    wanted.newest_first = newest_first;
    std::vector<std::string> all;
    for (int page = 0; page < 4; ++page) {
      auto found = ask(wanted);
      if (found.empty()) break;
      all.insert(all.end(), found.begin(), found.end());
      wanted.after_seq = read_front(found.back())->seq;
    }
    ASSERT_EQ(all.size(), 12u);
    for (std::size_t i = 1; i < all.size(); ++i) {
      auto before = read_front(all[i - 1])->seq, here = read_front(all[i])->seq;
      EXPECT_TRUE(newest_first ? before > here : before < here);
    }
  }
}

TEST_F(Reading, FiltersNarrow) {
  Query wanted;
  wanted.tenant = "hospital";
  wanted.decision = "deny";
  auto denied = ask(wanted);
  ASSERT_EQ(denied.size(), 1u);
  wanted.decision.reset();
  wanted.request_id = "req-6";
  EXPECT_EQ(ask(wanted).size(), 1u);
  wanted.request_id = "req-7";
  EXPECT_TRUE(ask(wanted).empty()) << "another tenant's request is not there";
  wanted.request_id.reset();
  wanted.since = member(denied.front(), "time");
  EXPECT_EQ(ask(wanted).size(), 3u);
  wanted.until = wanted.since;
  EXPECT_TRUE(ask(wanted).empty());
}

TEST_F(Reading, ABadQueryNamesItsParameter) {
  Query wanted;
  wanted.limit = 1001;
  auto refused = query(options_.dir, wanted);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().parameter(), "limit");
  wanted.limit = 10;
  wanted.since = "yesterday";
  refused = query(options_.dir, wanted);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().parameter(), "since");
  EXPECT_FALSE(query(root_ / "nowhere", Query{}));
}

}  // namespace
}  // namespace bulkhead::audit
