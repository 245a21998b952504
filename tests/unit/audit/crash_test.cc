// A process that is killed in the middle of writing, and what a crash leaves at the end of a file.
#include <sys/wait.h>

#include <csignal>

#include "base/json.h"
#include "support.h"

namespace bulkhead::audit {
namespace {

class Crash : public AuditTest {};

// Whatever stands behind the last whole line was acknowledged to nobody: it is cut off, said so, and
// the chain goes on. A cut into what the head states refuses to start.
TEST_F(Crash, ATornEndIsCutOffAndNotedAtEveryByte) {
  write(3);
  std::filesystem::path segment = segments().at(0);
  const std::string whole = slurp(segment);
  const std::string signed_head = head();
  open();
  append("hospital", 99);
  // Copied while the log is open: no closing checkpoint covers the last line yet.
  const std::string longer = slurp(segment);
  close();
  ASSERT_GT(longer.size(), whole.size());
  for (std::size_t bytes = whole.size(); bytes <= longer.size(); bytes += bytes + 1 < longer.size() ? 7 : 1) {
    put(segment, longer.substr(0, bytes));
    put(options_.dir / kHeadFile, signed_head);
    open();
    ASSERT_TRUE(log_) << bytes;
    close();
    std::vector<std::string> after = lines(segment);
    bool torn = bytes != whole.size() && bytes != longer.size();
    bool noted = false;
    for (const std::string& line : after)
      noted = noted || line.find("unacknowledged_bytes_cut") != std::string::npos;
    EXPECT_EQ(noted, torn) << bytes;
    EXPECT_TRUE(judge().ok) << bytes << "\n" << told(judge());
  }
}

TEST_F(Crash, ACutIntoAcknowledgedLinesRefusesToStart) {
  write(3);
  std::filesystem::path segment = segments().at(0);
  const std::string whole = slurp(segment);
  for (std::size_t cut : {std::size_t{1}, std::size_t{50}, whole.size() / 2}) {
    put(segment, whole.substr(0, whole.size() - cut));
    auto refused = try_open();
    ASSERT_FALSE(refused) << cut;
    EXPECT_TRUE(refused.error().is(AuditError::Corrupt));
    EXPECT_NE(refused.error().message().find("audit verify"), std::string::npos) << "says what to do next";
  }
  put(segment, whole);
  EXPECT_TRUE(try_open()) << "control";
}

TEST_F(Crash, AnEditedLineRefusesToStart) {
  write(3);
  std::filesystem::path segment = segments().at(0);
  std::vector<std::string> content = lines(segment);
  content[1].replace(content[1].find("hospital"), 8, "law-firm");
  put(segment, content);
  auto refused = try_open();
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(AuditError::Corrupt));
}

// The child says through a pipe what was durable; then it is killed without a word.
TEST_F(Crash, WhatWasDurableIsThereAfterSigkill) {
  for (int round = 0; round < 3; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    // Key memory does not survive a fork, by design: the child gets a plain copy of this test's key.
    std::string seed(key_.seed().reveal_text());
    pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(ends[0]);
      auto key = crypto::SigningKey::from_seed(base::Secret::copy_of(seed));
      if (!key) ::_exit(1);
      auto opened = Log::open(options_, std::move(*key), clock_);
      if (!opened) ::_exit(1);
      for (int i = 0;; ++i) {
        auto place = (*opened)->append(record("hospital", i)).wait();
        if (!place || ::write(ends[1], &place->seq, sizeof place->seq) < 0) ::_exit(2);
      }
    }
    ::close(ends[1]);
    std::uint64_t acknowledged = 0, seq = 0;
    for (int i = 0; i < 40 && ::read(ends[0], &seq, sizeof seq) == sizeof seq; ++i) acknowledged = seq;
    ::kill(child, SIGKILL);
    // What the child still said before it died counts too.
    while (::read(ends[0], &seq, sizeof seq) == sizeof seq) acknowledged = seq;
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ran until it was killed";
    ASSERT_GT(acknowledged, 0u);
    open();
    ASSERT_TRUE(log_);
    EXPECT_GE(log_->head().seq, acknowledged);
    close();
    EXPECT_TRUE(judge().ok) << told(judge());
  }
}

}  // namespace
}  // namespace bulkhead::audit
