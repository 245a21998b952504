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

// A slice after the other gives what a whole run gives, and what one run left is the next one's.
TEST_F(Reading, SlicesAddUpToTheWhole) {
  for (bool newest_first : {true, false}) {
    Query wanted;
    wanted.tenant = "hospital";
    wanted.newest_first = newest_first;
    const auto whole = ask(wanted);
    auto run = QueryRun::begin(options_.dir, wanted);
    ASSERT_TRUE(run);
    std::size_t slices = 1;
    while (!run->advance(1)) ++slices;
    EXPECT_GT(slices, 2u) << "control: it did stop in between";
    EXPECT_TRUE(run->whole());
    EXPECT_EQ(run->lines(), whole);

    std::vector<std::string> parts;
    std::size_t questions = 0;
    for (bool over = false; !over; ++questions) {
      auto part = QueryRun::begin(options_.dir, wanted);
      ASSERT_TRUE(part);
      part->advance(1);
      over = part->whole();
      EXPECT_TRUE(over || part->scanned_seq()) << "or there is nothing to go on after";
      parts.insert(parts.end(), part->lines().begin(), part->lines().end());
      wanted.after_seq = part->scanned_seq();
      ASSERT_LT(questions, 100u);
    }
    EXPECT_GT(questions, 2u);
    EXPECT_EQ(parts, whole);
  }
}

TEST_F(Reading, SegmentsBeyondWhereItGoesOnAreNotRead) {
  Query wanted;
  wanted.all_tenants = true;
  auto all = QueryRun::begin(options_.dir, wanted);
  while (!all->advance(1 << 20)) continue;
  for (bool newest_first : {true, false}) {
    wanted.newest_first = newest_first;
    wanted.after_seq = newest_first ? 3 : all->lines().size();
    auto some = QueryRun::begin(options_.dir, wanted);
    ASSERT_TRUE(some);
    while (!some->advance(1 << 20)) continue;
    EXPECT_GT(some->lines().size(), 0u);
    EXPECT_LT(some->bytes_read(), all->bytes_read() / 2) << newest_first;
  }
}

// Of many blocks, with lines across their edges, and one that is just being written.
class ReadingMuch : public AuditTest {};

TEST_F(ReadingMuch, LinesAcrossBlocksAreSeenOnceAndInOrder) {
  open();
  constexpr int kRecords = 6'900;
  std::optional<Log::Ticket> last;
  for (int i = 0; i < kRecords; ++i) {
    Record made = record(i % 7 == 0 ? "hospital" : "law-firm", i);
    made.time = clock_.wall();
    last = log_->append(made);
  }
  ASSERT_TRUE(last->wait());
  close();
  ASSERT_EQ(segments().size(), 1u);
  const auto segment = segments().front();
  ASSERT_GT(std::filesystem::file_size(segment), 1u << 20) << "several blocks";
  std::ofstream(segment, std::ios::app) << "{\"seq\":99999,\"prev\":\"00";
  for (bool newest_first : {true, false}) {
    Query wanted;
    wanted.tenant = "hospital";
    wanted.limit = 1000;
    wanted.newest_first = newest_first;
    auto found = query(options_.dir, wanted);
    ASSERT_TRUE(found);
    ASSERT_EQ(found->size(), static_cast<std::size_t>((kRecords + 6) / 7));
    for (std::size_t i = 0; i < found->size(); ++i) {
      const std::size_t number = newest_first ? found->size() - 1 - i : i;
      auto document = base::json::Document::parse((*found)[i]);
      EXPECT_EQ(document->root()["request_id"].as_string(), "req-" + std::to_string(number * 7));
    }
  }
}

}  // namespace
}  // namespace bulkhead::audit
