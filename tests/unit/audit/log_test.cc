// Writing: order, group commit, restart, rotation, a full disk.
#include <sys/resource.h>

#include <csignal>
#include <set>
#include <thread>

#include "base/json.h"
#include "support.h"

namespace bulkhead::audit {
namespace {

class Writing : public AuditTest {};

TEST_F(Writing, ARecordIsOnDiskWhenItsTicketIsDurable) {
  open();
  for (int i = 0; i < 5; ++i) {
    auto position = base::run_blocking(log_->append(record("hospital", i)).durable());
    ASSERT_TRUE(position);
    std::vector<std::string> written = all_lines();
    ASSERT_EQ(written.size(), static_cast<std::size_t>(i + 1));
    EXPECT_EQ(position->seq, static_cast<std::uint64_t>(i + 1));
    EXPECT_EQ(position->hash, line_hash(written.back()));
    EXPECT_NE(written.back().find("req-" + std::to_string(i)), std::string::npos);
  }
  EXPECT_EQ(log_->head().seq, 5u);
  EXPECT_EQ(log_->stats().records, 5u);
}

TEST_F(Writing, LinesHoldOnlyWhatTheRecordSays) {
  open();
  Record full = record("hospital");
  full.prompt_tokens = 3;
  full.retrieval_ids = {"file-1#0", "file-2#7"};
  full.burned = true;
  full.note = "quote \" and \\ and \n";
  ASSERT_TRUE(log_->append(full).wait());
  auto line = base::json::Document::parse(all_lines().at(0));
  ASSERT_TRUE(line);
  EXPECT_EQ(line->root()["tenant"].as_string(), "hospital");
  EXPECT_EQ(line->root()["retrieval_ids"].at(1).as_string(), "file-2#7");
  EXPECT_EQ(line->root()["note"].as_string(), full.note);
  EXPECT_FALSE(line->root()["completion_tokens"].exists()) << "what is not known is not stated";
}

// Eight threads at once: every ticket's place is the record's own, and each thread's records stand in
// the order in which it appended them.
TEST_F(Writing, ConcurrentAppendersGetTheirOwnPlacesInOrder) {
  open();
  constexpr int kThreads = 8, kRecords = 60;
  std::vector<std::vector<Position>> places(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::vector<Log::Ticket> tickets;
      for (int i = 0; i < kRecords; ++i) {
        tickets.push_back(log_->append(record("t" + std::to_string(t), i)));
        if (i % 7 == 0) static_cast<void>(tickets.back().wait());
      }
      for (Log::Ticket& ticket : tickets) {
        auto place = ticket.wait();
        if (place) places[static_cast<std::size_t>(t)].push_back(*place);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  auto stats = log_->stats();
  EXPECT_EQ(stats.records, static_cast<std::uint64_t>(kThreads * kRecords));
  EXPECT_LE(stats.commits, stats.records);
  close();
  std::vector<std::string> written = all_lines();
  std::set<std::uint64_t> seen;
  for (int t = 0; t < kThreads; ++t) {
    const auto& mine = places[static_cast<std::size_t>(t)];
    ASSERT_EQ(mine.size(), static_cast<std::size_t>(kRecords));
    for (int i = 0; i < kRecords; ++i) {
      const Position& place = mine[static_cast<std::size_t>(i)];
      EXPECT_TRUE(seen.insert(place.seq).second);
      if (i > 0) {
        EXPECT_GT(place.seq, mine[static_cast<std::size_t>(i) - 1].seq);
      }
      const std::string& line = written.at(place.seq - 1);
      EXPECT_EQ(line_hash(line), place.hash);
      EXPECT_NE(line.find("\"t" + std::to_string(t) + "\""), std::string::npos);
      EXPECT_NE(line.find("\"req-" + std::to_string(i) + "\""), std::string::npos);
    }
  }
  EXPECT_TRUE(judge().ok) << told(judge());
}

TEST_F(Writing, AReopenedLogGoesOnWithTheChain) {
  for (int run = 0; run < 4; ++run) write(3);
  EXPECT_EQ(judge().records, 4u * 4u);
  EXPECT_EQ(judge().checkpoints, 4u);
  EXPECT_TRUE(judge().ok) << told(judge());
}

TEST_F(Writing, ALogWithoutAnyLineIsInOrder) {
  open();
  EXPECT_TRUE(judge().ok) << told(judge());
  close();
  EXPECT_TRUE(judge().ok) << told(judge());
}

TEST_F(Writing, ASecondProcessIsRefused) {
  open();
  auto second = try_open();
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().is(AuditError::Locked));
  close();
  EXPECT_TRUE(try_open()) << "control: free again";
}

TEST_F(Writing, CheckpointsComeByCountAndGoToWitnessAndListener) {
  options_.checkpoint_records = 3;
  options_.witness_dir = root_ / "witness";
  open();
  std::mutex mutex;
  std::vector<std::string> heard;
  log_->on_checkpoint([&](std::string text) {
    std::lock_guard lock(mutex);
    heard.push_back(std::move(text));
  });
  for (int i = 0; i < 7; ++i) append("hospital", i);
  close();
  ASSERT_GE(heard.size(), 2u);
  EXPECT_EQ(slurp(options_.witness_dir / kHeadFile), heard.back() + "\n");
  EXPECT_EQ(head(), heard.back() + "\n");
  EXPECT_TRUE(judge(heard).ok) << "every checkpoint that was heard of lies on the chain\n"
                               << told(judge(heard));
}

// Rotation at every checkpoint, stopping at every point of it: the log opens again and stays whole.
TEST_F(Writing, ALogStoppedRightAfterARotationOpensAgain) {
  options_.checkpoint_records = 2;
  options_.segment_bytes_max = 1;
  for (int run = 0; run < 5; ++run) {
    open();
    ASSERT_TRUE(log_);
    for (int i = 0; i < run; ++i) append("hospital", i);
    close();
    VerifyReport report = judge();
    EXPECT_TRUE(report.ok) << told(report);
  }
  EXPECT_GT(segments().size(), 3u);
  // What was cut before the empty newest segment is still seen.
  auto paths = segments();
  ASSERT_TRUE(slurp(paths.back()).empty()) << "control: the newest segment is an empty one";
  auto& full = paths[paths.size() - 2];
  std::vector<std::string> content = lines(full);
  content.pop_back();
  put(full, content);
  auto refused = try_open();
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(AuditError::Corrupt));
}

// A real full disk, as the kernel reports it: the file may not grow past a limit. The batch that does
// not fit is cut off whole, its tickets fail, and writing goes on when there is room again.
TEST_F(Writing, AFullDiskFailsTheBatchWholeAndRecovers) {
  open();
  for (int i = 0; i < 3; ++i) append("hospital", i);
  std::filesystem::path segment = segments().at(0);
  const auto size_before = std::filesystem::file_size(segment);
  struct Limited {
    rlimit before{};
    void (*handler)(int);
    explicit Limited(rlim_t bytes) {
      handler = std::signal(SIGXFSZ, SIG_IGN);
      ::getrlimit(RLIMIT_FSIZE, &before);
      rlimit limit{bytes, before.rlim_max};
      ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    ~Limited() {
      ::setrlimit(RLIMIT_FSIZE, &before);
      std::signal(SIGXFSZ, handler);
    }
  };
  {
    // Room for half a line: the write is cut short in the middle.
    Limited full(size_before + 100);
    auto failed = log_->append(record("hospital", 3)).wait();
    ASSERT_FALSE(failed);
    EXPECT_TRUE(failed.error().is(AuditError::Unavailable));
    EXPECT_FALSE(failed.error().message().empty());
    EXPECT_FALSE(log_->healthy());
    EXPECT_EQ(std::filesystem::file_size(segment), size_before) << "no half line stays";
  }
  auto again = log_->append(record("hospital", 4)).wait();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->seq, 4u) << "the lost record took no number";
  EXPECT_TRUE(log_->healthy());
  EXPECT_EQ(log_->stats().failures, 1u);
  close();
  EXPECT_TRUE(judge().ok) << told(judge());
}

TEST_F(Writing, AFullQueueAndAnOversizedRecordFailAtOnce) {
  options_.queue_records_max = 0;
  open();
  EXPECT_FALSE(log_->append(record("hospital")).wait());
  close();
  options_.queue_records_max = 100;
  open();
  Record huge = record("hospital");
  huge.note.assign(kLineBytesMax, 'x');
  EXPECT_FALSE(log_->append(huge).wait()) << "no line that verify would refuse is ever written";
  EXPECT_TRUE(log_->append(record("hospital")).wait()) << "control";
}

}  // namespace
}  // namespace bulkhead::audit
