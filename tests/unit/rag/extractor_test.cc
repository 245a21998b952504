// The extractor's client, with the real worker for documents and with shell scripts in the worker's
// place for what a hostile or broken worker does.
#include "rag/extractor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "base/task.h"
#include "support/eventually.h"

namespace bulkhead::rag {
namespace {

namespace fs = std::filesystem;
using base::CancelToken;
using base::FairPool;
using base::Result;
using base::Task;

class ExtractorTest : public testing::Test {
 protected:
  ExtractorTest() {
    char path[] = "/tmp/bulkhead-extractor-XXXXXX";
    folder_ = ::mkdtemp(path);
  }
  ~ExtractorTest() override { fs::remove_all(folder_); }

  static ExtractorOptions real() {
    return {.executable = fs::path(BULKHEAD_BINARY_DIR) / "bin/bulkhead-extract"};
  }

  // Options with a script in the worker's place.
  ExtractorOptions script(const std::string& commands) {
    fs::path path = folder_ / "worker";
    std::ofstream(path) << "#!/bin/sh\n" << commands << "\n";
    ::chmod(path.c_str(), 0700);
    return {.executable = path};
  }

  Result<ExtractedDocument> extract(ExtractorOptions options, std::string name, std::string content,
                                    CancelToken cancel = {}) {
    Extractor extractor(std::move(options), pool_);
    auto document = base::run_blocking(extractor.extract(std::move(name), std::move(content), cancel));
    stats_ = extractor.stats();
    return document;
  }

  static std::string slurp(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  fs::path folder_;
  FairPool pool_{{.threads = 3, .threads_per_party = 2, .threads_reserved = 0}};
  Extractor::Stats stats_;
};

std::string outcome(const Result<ExtractedDocument>& document) {
  return document ? "read" : std::string(document.error().name().code);
}

constexpr const char* kAnswer =
    R"({"type":"text","title":"T","blocks":[{"kind":"heading","level":1,"text":"H","page":0}]})";

TEST_F(ExtractorTest, ReadsEveryDocumentOfTheDemo) {
  fs::path corpus = fs::path(BULKHEAD_SOURCE_DIR) / "demo/corpus";
  std::size_t read = 0;
  for (const char* tenant : {"st-brannoc", "calder-rowe", "brightwave"}) {
    for (const auto& entry : fs::directory_iterator(corpus / tenant)) {
      if (entry.path().extension() == ".json") continue;
      auto document = extract(real(), entry.path().filename().string(), slurp(entry.path()));
      ASSERT_TRUE(document) << entry.path() << ": " << document.error().describe();
      EXPECT_GT(document->blocks.size(), 10u) << entry.path();
      ++read;
    }
  }
  EXPECT_EQ(read, 36u);
}

TEST_F(ExtractorTest, AnswersKeepKindLevelAndPage) {
  auto document = extract(script(std::string("cat >/dev/null; echo '") + kAnswer + "'"), "a.txt", "x");
  ASSERT_TRUE(document) << document.error().describe();
  EXPECT_EQ(document->title, "T");
  ASSERT_EQ(document->blocks.size(), 1u);
  EXPECT_EQ(document->blocks[0].kind, Block::Kind::Heading);
  EXPECT_EQ(document->blocks[0].level, 1);
}

TEST_F(ExtractorTest, ErrorsOfDocumentsAreToldApart) {
  EXPECT_EQ(outcome(extract(real(), "a.pdf", "%PDF-1.7 and no more")), "invalid_file");
  EXPECT_EQ(outcome(extract(real(), "a.bin", std::string(100, '\0'))), "unsupported_file");
  EXPECT_EQ(outcome(extract(real(), "a.txt", "")), "invalid_file");
  ExtractorOptions narrow = real();
  narrow.text_bytes_max = 1'000;
  EXPECT_EQ(outcome(extract(narrow, "a.txt", std::string(2'000, 'x'))), "too_large");
  EXPECT_EQ(stats_.started, 1u);
  EXPECT_EQ(stats_.failed, 1u);
}

TEST_F(ExtractorTest, LongAndOddNamesAreHarmless) {
  EXPECT_EQ(outcome(extract(real(), std::string(100'000, 'n') + ".txt", "text")), "read");
  EXPECT_EQ(outcome(extract(real(), "\xFF\"\n\x01{}.md", "# text")), "read");
}

TEST_F(ExtractorTest, WithoutWorkerThereIsAClearError) {
  EXPECT_EQ(outcome(extract({.executable = folder_ / "none"}, "a.txt", "x")), "unavailable");
}

TEST_F(ExtractorTest, AWorkerOutOfTimeIsKilled) {
  ExtractorOptions options = script("echo $$ >" + (folder_ / "pid").string() + "; exec sleep 1000");
  options.time_max = std::chrono::milliseconds(300);
  EXPECT_EQ(outcome(extract(options, "a.txt", "x")), "timeout");
  EXPECT_EQ(stats_.killed, 1u);
  pid_t pid = std::atoi(slurp(folder_ / "pid").c_str());
  ASSERT_GT(pid, 1);
  EXPECT_EQ(::kill(pid, 0), -1) << "the worker is still there";
}

TEST_F(ExtractorTest, AWorkersChildrenAreKilledWithIt) {
  ExtractorOptions options = script("sleep 1000 & echo $! >" + (folder_ / "pid").string() + "; wait");
  // A busy machine may need longer than this to start the script; then it gets more.
  options.time_max = std::chrono::milliseconds(300);
  pid_t pid = 0;
  for (; pid <= 1 && options.time_max < std::chrono::minutes(1); options.time_max *= 2) {
    EXPECT_EQ(outcome(extract(options, "a.txt", "x")), "timeout");
    pid = std::atoi(slurp(folder_ / "pid").c_str());
  }
  ASSERT_GT(pid, 1);
  // The signal was sent before `extract` ended; the kernel carries it out, and init reaps orphans, in their
  // own time. A killed one runs no more.
  auto state = [pid] { return slurp("/proc/" + std::to_string(pid) + "/stat"); };
  auto gone = [&state] {
    std::string text = state();
    return text.empty() || text.find(") Z") != std::string::npos || text.find(") X") != std::string::npos;
  };
  EXPECT_TRUE(test::eventually(gone)) << state();
}

TEST_F(ExtractorTest, AWorkerThatClosesItsOutputAndStaysIsKilled) {
  EXPECT_EQ(outcome(extract(script("exec >&-; exec sleep 1000"), "a.txt", "x")), "crashed");
}

TEST_F(ExtractorTest, CrashesAndMalformedAnswersAreErrors) {
  EXPECT_EQ(outcome(extract(script("kill -SEGV $$"), "a.txt", "x")), "crashed");
  EXPECT_EQ(outcome(extract(script("exit 3"), "a.txt", "x")), "crashed");
  EXPECT_EQ(outcome(extract(script("echo not json"), "a.txt", "x")), "crashed");
  EXPECT_EQ(outcome(extract(script("echo '[]'"), "a.txt", "x")), "crashed");
  EXPECT_EQ(outcome(extract(script("echo '{\"blocks\":[{\"text\":5}]}'"), "a.txt", "x")), "crashed");
  EXPECT_EQ(outcome(extract(script(std::string("echo '") + kAnswer + kAnswer + "'"), "a.txt", "x")),
            "crashed");
}

TEST_F(ExtractorTest, AnAnswerIsBoundedWhateverTheWorkerClaims) {
  ExtractorOptions endless = script("exec yes");
  endless.text_bytes_max = 100'000;
  EXPECT_EQ(outcome(extract(endless, "a.txt", "x")), "too_large");
  ExtractorOptions wordy = script(std::string("echo '") + kAnswer + "'");
  wordy.text_bytes_max = 100;
  EXPECT_EQ(outcome(extract(wordy, "a.txt", "x")), "read");
  wordy.text_bytes_max = 15;
  ExtractorOptions longer =
      script(R"(echo '{"type":"text","title":"","blocks":[{"text":"0123456789012345"}]}')");
  longer.text_bytes_max = 15;
  EXPECT_EQ(outcome(extract(longer, "a.txt", "x")), "crashed");
}

TEST_F(ExtractorTest, AWorkerThatReadsNothingDoesNotStopUs) {
  // 32 MiB don't fit the socket: the write meets a closed end.
  EXPECT_EQ(outcome(extract(script("exit 0"), "a.txt", std::string(32u << 20, 'x'))), "crashed");
}

TEST_F(ExtractorTest, TheWorkerInheritsNeitherEnvironmentNorDescriptors) {
  ASSERT_EQ(::setenv("BULKHEAD_PROBE", "secret", 1), 0);
  int kept = ::fcntl(STDERR_FILENO, F_DUPFD, 200);
  ASSERT_GE(kept, 200);
  std::string probe =
      "if grep -q BULKHEAD_PROBE /proc/$$/environ; then e=env; else e=none; fi; if [ -e /proc/$$/fd/" +
      std::to_string(kept) + " ]; then f=fd; else f=none; fi; ";
  std::string control = probe + "[ $e = env ] && [ $f = fd ]";
  EXPECT_EQ(std::system(control.c_str()), 0) << "control: an ordinary child inherits both";
  auto document = extract(script(probe + R"(echo "{\"type\":\"text\",\"title\":\"$e $f\",\"blocks\":[]}")"),
                          "a.txt", "x");
  ::close(kept);
  ASSERT_TRUE(document) << document.error().describe();
  EXPECT_EQ(document->title, "none none");
}

TEST_F(ExtractorTest, ACancelledRequestStartsNothingOrIsKilled) {
  CancelToken cancelled;
  cancelled.cancel(base::CancelReason::Abandoned);
  EXPECT_EQ(outcome(extract(script("exec sleep 1000"), "a.txt", "x", cancelled)), "cancelled");
}

struct Runs {
  int finished = 0, read = 0;
};

Task<void> extract_into(Extractor& extractor, CancelToken cancel, Runs& runs) {
  auto document = co_await extractor.extract("a.txt", "x", cancel);
  if (document) ++runs.read;
  ++runs.finished;
}

// As the extractor's own, so that it shares its threads with what waits.
Task<void> probe(FairPool& pool, std::function<void()> work = [] {}) {
  auto ran = co_await pool.run({.party = "extractions"}, [&work]() -> base::Result<void> {
    work();
    return {};
  });
  EXPECT_TRUE(ran.ok());
}

Task<void> fill_and_probe(Extractor& extractor, FairPool& pool, fs::path go, Runs& runs,
                          int& finished_before) {
  CancelToken cancel, live;
  for (int i = 0; i < 3; ++i) base::spawn(*base::Executor::current(), extract_into(extractor, live, runs));
  base::spawn(*base::Executor::current(), extract_into(extractor, cancel, runs));
  // With waiting documents on the pool's two threads this would not run before they are done.
  for (int i = 0; i < 10; ++i) co_await probe(pool);
  finished_before = runs.finished;
  cancel.cancel(base::CancelReason::ClientGone);
  co_await probe(pool, [go] { std::ofstream(go) << "go"; });
  while (runs.finished < 4) co_await probe(pool);
}

TEST_F(ExtractorTest, DocumentsThatWaitHoldNoThreadOfThePool) {
  fs::path go = folder_ / "go";
  ExtractorOptions options =
      script("while [ ! -e " + go.string() + " ]; do sleep 0.01; done; echo '" + kAnswer + "'");
  options.concurrent = 1;
  Extractor extractor(options, pool_);
  Runs runs;
  int finished_before = -1;
  base::run_blocking(fill_and_probe(extractor, pool_, go, runs, finished_before));
  EXPECT_EQ(finished_before, 0);
  EXPECT_EQ(runs.read, 3);
  EXPECT_EQ(extractor.stats().started, 3u) << "the cancelled one, still waiting, starts no process";
}

}  // namespace
}  // namespace bulkhead::rag
