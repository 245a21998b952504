// Changes whose outcome the log does not say: found by verify, and said by the next start.
#include "audit/open_changes.h"
#include "base/json.h"
#include "support.h"

namespace bulkhead::audit {
namespace {

class Changes : public AuditTest {
 protected:
  Record intent(const std::string& id) {
    Record made = record("hospital");
    made.event = Event::ChangeIntended;
    made.request_id = id;
    made.intended = event_name(Event::FileDeleted);
    made.target = "file-1";
    return made;
  }
  Record outcome(const std::string& id) {
    Record made = record("hospital");
    made.event = Event::FileDeleted;
    made.request_id = id;
    return made;
  }
  void put_down(const Record& record) { ASSERT_TRUE(log_->append(record).wait()); }
};

TEST_F(Changes, AnIntentWithoutAnOutcomeIsReportedAndIsNoDamage) {
  open();
  put_down(intent("req-a"));
  put_down(intent("req-b"));
  put_down(outcome("req-a"));
  VerifyReport report = judge();
  EXPECT_TRUE(report.ok);
  ASSERT_EQ(report.unknown_outcomes.size(), 1u);
  EXPECT_EQ(report.unknown_outcomes[0].request_id, "req-b");
  EXPECT_EQ(report.unknown_outcomes[0].intended, "file_deleted");
  EXPECT_EQ(report.unknown_outcomes[0].tenant, "hospital");
  EXPECT_EQ(report.unknown_outcomes[0].target, "file-1");
  put_down(outcome("req-b"));
  EXPECT_TRUE(judge().unknown_outcomes.empty()) << "control: concluded";
}

TEST_F(Changes, TheNextStartSaysSoOnceForTheTenantToRead) {
  open();
  put_down(intent("req-a"));
  put_down(intent("req-b"));
  put_down(outcome("req-a"));
  for (int start = 0; start < 3; ++start) {
    close();
    open();
  }
  Query wanted;
  wanted.tenant = "hospital";
  wanted.event = "outcome_unknown";
  auto found = query(options_.dir, wanted);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1u);
  auto line = base::json::Document::parse(found->front());
  EXPECT_EQ(line->root()["request_id"].as_string(), "req-b");
  EXPECT_EQ(line->root()["intended"].as_string(), "file_deleted");
  close();
  ASSERT_EQ(judge().unknown_outcomes.size(), 1u) << "told once, not for each record about it";
}

TEST_F(Changes, TheOutcomeMayStandInTheNextSegment) {
  options_.checkpoint_records = 1;
  options_.segment_bytes_max = 1;
  open();
  put_down(intent("req-a"));
  put_down(outcome("req-a"));
  put_down(intent("req-b"));
  close();
  ASSERT_GT(segments().size(), 2u);
  open();
  close();
  std::size_t told_unknown = 0;
  for (const std::string& line : all_lines())
    told_unknown += line.find("outcome_unknown") != std::string::npos;
  EXPECT_EQ(told_unknown, 1u);
  ASSERT_EQ(judge().unknown_outcomes.size(), 1u);
  EXPECT_EQ(judge().unknown_outcomes[0].request_id, "req-b");
}

// A value of a member can't pass for an announcement.
TEST_F(Changes, TextInsideOfAMemberIsNoIntent) {
  open();
  Record made = record("hospital");
  made.note = "\"event\":\"change_intended\",\"request_id\":\"x\"";
  put_down(made);
  EXPECT_TRUE(judge().unknown_outcomes.empty());
}

}  // namespace
}  // namespace bulkhead::audit
