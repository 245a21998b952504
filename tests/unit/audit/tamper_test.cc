// Invariant I7, offline: any edit, cut, reorder or rollback is found, at its place. AISVS 12.
#include <algorithm>

#include "support.h"

namespace bulkhead::audit {
namespace {

// Six records and the closing checkpoint in one segment.
class Tamper : public AuditTest {
 protected:
  void SetUp() override {
    write(6);
    segment_ = segments().at(0);
    original_ = lines(segment_);
    ASSERT_EQ(original_.size(), 7u);
    ASSERT_TRUE(judge().ok) << "control: the untouched log is in order\n" << told(judge());
  }
  // The first finding names this line (from 1) of the segment, or the one after it, whose `prev` shows
  // what happened to the line before.
  void expect_found_at(std::size_t line, const char* what) {
    VerifyReport report = judge();
    ASSERT_FALSE(report.ok) << what;
    const Finding& first = report.findings.front();
    EXPECT_EQ(first.file, segment_.filename().string()) << what;
    EXPECT_TRUE(first.line == line || first.line == line + 1) << what << " at " << line << ":\n"
                                                              << told(report);
  }

  std::filesystem::path segment_;
  std::vector<std::string> original_;
};

TEST_F(Tamper, AisvsV12EveryEditedByteIsFoundAtItsLine) {
  std::string text = slurp(segment_);
  std::size_t line = 1;
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = changed[i] == '0' ? '1' : '0';
    put(segment_, changed);
    if (text[i] == '\n') {
      EXPECT_FALSE(judge().ok) << "newline " << line;
      ++line;
    } else {
      expect_found_at(line, "edited byte");
    }
    if (HasFatalFailure()) return;
  }
}

TEST_F(Tamper, EveryRemovedLineIsFoundWhereItWas) {
  for (std::size_t i = 0; i < original_.size(); ++i) {
    std::vector<std::string> changed = original_;
    changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(i));
    put(segment_, changed);
    if (i + 1 == original_.size()) {
      VerifyReport report = judge();
      ASSERT_FALSE(report.ok);
      EXPECT_NE(told(report).find("cut off"), std::string::npos) << told(report);
      EXPECT_EQ(report.findings.front().seq, 7u) << "the head names the line that is gone";
    } else {
      expect_found_at(i + 1, "removed line");
    }
  }
}

TEST_F(Tamper, EveryRemovedTailIsFound) {
  for (std::size_t keep = 0; keep < original_.size(); ++keep) {
    put(segment_,
        std::vector<std::string>(original_.begin(), original_.begin() + static_cast<std::ptrdiff_t>(keep)));
    VerifyReport report = judge();
    EXPECT_FALSE(report.ok) << keep;
  }
}

TEST_F(Tamper, EveryPairOfSwappedLinesIsFound) {
  for (std::size_t i = 0; i + 1 < original_.size(); ++i) {
    for (std::size_t k = i + 1; k < original_.size(); ++k) {
      std::vector<std::string> changed = original_;
      std::swap(changed[i], changed[k]);
      put(segment_, changed);
      expect_found_at(i + 1, "swapped line");
    }
  }
}

TEST_F(Tamper, ARepeatedAndAnInsertedLineAreFound) {
  for (std::size_t i = 0; i < original_.size(); ++i) {
    std::vector<std::string> changed = original_;
    changed.insert(changed.begin() + static_cast<std::ptrdiff_t>(i), original_[i]);
    put(segment_, changed);
    expect_found_at(i + 1, "repeated line");
  }
  std::vector<std::string> changed = original_;
  changed.insert(changed.begin() + 3, make_line(4, line_hash(original_[2]), "\"event\":\"search\""));
  put(segment_, changed);
  expect_found_at(4, "inserted line");
}

// Someone who rewrites the whole chain from an edit on, hashes and all, still can't sign.
TEST_F(Tamper, ARecomputedChainFailsAtTheSignedCheckpoint) {
  std::vector<std::string> forged;
  crypto::Digest prev{};
  for (std::size_t i = 0; i < original_.size(); ++i) {
    std::string members = original_[i].substr(original_[i].find("\",") + 2);
    members.pop_back();
    if (i == 2) members.replace(members.find("hospital"), 8, "law-firm");
    forged.push_back(make_line(i + 1, prev, members));
    prev = line_hash(forged.back());
  }
  put(segment_, forged);
  VerifyReport report = judge();
  ASSERT_FALSE(report.ok);
  EXPECT_NE(told(report).find("rewritten"), std::string::npos) << told(report);

  // With a head of their own making as well: the key is another.
  crypto::SigningKey other = crypto::SigningKey::generate();
  put(options_.dir / kHeadFile, sign_checkpoint({"bulkhead", 7, prev, "2026-01-01T00:00:00Z"}, other));
  auto refused = verify(options_.dir, key_.verify_key(), {});
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(AuditError::Corrupt));
  // Control: to their own key it would look right but for the checkpoint inside.
  auto theirs = verify(options_.dir, other.verify_key(), {});
  ASSERT_TRUE(theirs);
  EXPECT_FALSE(theirs->ok);
}

TEST_F(Tamper, AMissingHeadFileIsFound) {
  std::filesystem::remove(options_.dir / kHeadFile);
  VerifyReport report = judge();
  EXPECT_FALSE(report.ok);
  EXPECT_EQ(report.findings.front().file, kHeadFile);
  // Nor does the writer go on from there, which would sign whatever is left of the log.
  auto refused = try_open();
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(AuditError::Corrupt));
}

TEST_F(Tamper, ALogTakenAwayWholeIsFound) {
  std::string anchor = head();
  std::filesystem::remove(segment_);
  EXPECT_FALSE(judge().ok) << "the head still says what was there";
  std::filesystem::remove(options_.dir / kHeadFile);
  VerifyReport report = judge();
  EXPECT_FALSE(report.ok) << "an empty folder is no log";
  EXPECT_NE(told(report).find("no log here"), std::string::npos) << told(report);
  EXPECT_NE(told(judge({anchor})).find("its end was cut off"), std::string::npos);
}

// The whole folder set back to an earlier, honestly signed state.
TEST_F(Tamper, ARolledBackFolderIsFoundByTheWitnessOrAKeptAnchor) {
  std::filesystem::path old = root_ / "old";
  std::filesystem::copy(options_.dir, old);
  open();
  append("hospital", 100);
  close();
  std::string kept = head();
  std::filesystem::remove_all(options_.dir);
  std::filesystem::copy(old, options_.dir);
  EXPECT_TRUE(judge().ok) << "control: by itself the old state is in order";
  VerifyReport report = judge({kept});
  ASSERT_FALSE(report.ok);
  EXPECT_NE(told(report).find("rolled back"), std::string::npos) << told(report);
}

TEST_F(Tamper, AnAnchorThatWasAlteredIsRefused) {
  std::string anchor = head();
  std::size_t digit = anchor.find("\"seq\":7");
  ASSERT_NE(digit, std::string::npos);
  anchor[digit + 6] = '6';
  auto refused = verify(options_.dir, key_.verify_key(), {anchor});
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(AuditError::Corrupt));
}

TEST_F(Tamper, AMissingSegmentIsFoundByName) {
  options_.checkpoint_records = 1;
  options_.segment_bytes_max = 1;
  open();
  for (int i = 0; i < 4; ++i) append("hospital", i);
  close();
  auto paths = segments();
  ASSERT_GE(paths.size(), 4u);
  ASSERT_TRUE(judge().ok) << told(judge());
  for (std::size_t i = 0; i + 1 < paths.size(); ++i) {
    if (slurp(paths[i]).empty()) continue;
    std::string content = slurp(paths[i]);
    std::filesystem::remove(paths[i]);
    VerifyReport report = judge();
    ASSERT_FALSE(report.ok) << paths[i];
    EXPECT_NE(told(report).find("missing"), std::string::npos) << told(report);
    put(paths[i], content);
  }
  ASSERT_TRUE(judge().ok) << "control: put back, all is in order";
}

}  // namespace
}  // namespace bulkhead::audit
