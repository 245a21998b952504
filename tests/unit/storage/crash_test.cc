// A process killed in the middle of writing, and a byte-by-byte look at what lies on disk.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "raw_database.h"
#include "store_fixture.h"

namespace bulkhead::storage {
namespace {

constexpr char kFolderVariable[] = "BULKHEAD_CRASH_FOLDER";

const std::vector<std::string>& planted() {
  static const std::vector<std::string> words = {"zqcontentword", "zqfilename", "zqchunkword", "zqheading",
                                                 "zqchatword",    "zqkeyname",  "zqstorename", "zqdetail",
                                                 "zqowner",       "zqgroup",    "zqcompletion"};
  return words;
}

void write_round(TenantStore& store, const tenancy::TenantScope& scope, int n) {
  const std::string id = "f" + std::to_string(n);
  FileRecord file = sample_file(id);
  file.name = "zqfilename";
  file.owner = "zqowner";
  file.access.groups = {"zqgroup"};
  file.status_detail = "zqdetail";
  std::string content;
  while (content.size() < 300'000) content += "zqcontentword ";
  if (!store.put_file(scope, file, content)) std::abort();
  auto chunks = sample_chunks(id, 20, "zqchunkword");
  for (auto& chunk : chunks) chunk.heading = "zqheading";
  if (!store.replace_chunks(scope, file.id, chunks, sample_vectors(20))) std::abort();
  ChatRecord chat{.id = chat_id("c" + std::to_string(n))};
  chat.owner = "zqowner";
  chat.messages_json = "zqchatword";
  chat.completion_json = "zqcompletion";
  if (!store.put_chat(scope, chat)) std::abort();
  VectorStoreRecord shelf{.id = store_id("v" + std::to_string(n)), .name = "zqstorename"};
  if (!store.put_vector_store(scope, shelf)) std::abort();
  identity::ApiKeyRecord key{.id = key_id("k" + std::to_string(n)), .name = "zqkeyname"};
  if (!store.put_api_key(scope, key)) std::abort();
}

// Run as a process of its own by the test below (keys do not survive a fork, by design).
TEST(CrashChild, DISABLED_WritesUntilKilled) {
  const char* folder = std::getenv(kFolderVariable);
  if (!folder) GTEST_SKIP() << "run by Crash.EveryAcknowledgedFileIsWhole";
  TestPlatform platform(folder);
  const auto scope = platform.scope("a");
  const auto store = platform.store("a");
  for (int n = 0;; ++n) {
    write_round(*store, scope, n);
    // Acknowledged: the parent may count on it from here.
    if (::write(STDOUT_FILENO, "+", 1) != 1) return;
  }
}

int acknowledged_until_killed(const std::filesystem::path& folder, int wanted) {
  int channel[2];
  if (::pipe(channel) != 0) return -1;
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(channel[1], STDOUT_FILENO);
    ::close(channel[0]);
    ::setenv(kFolderVariable, folder.c_str(), 1);
    ::execl("/proc/self/exe", "crash", "--gtest_also_run_disabled_tests", "--gtest_brief=1",
            "--gtest_filter=CrashChild.DISABLED_WritesUntilKilled", nullptr);
    ::_exit(127);
  }
  ::close(channel[1]);
  int acknowledged = 0;
  char byte = 0;
  bool killed = false;
  while (::read(channel[0], &byte, 1) == 1) {
    if (byte == '+') ++acknowledged;
    // What is still in the pipe counts: it was acknowledged before the kill.
    if (acknowledged == wanted && !killed) killed = ::kill(child, SIGKILL) == 0;
  }
  ::close(channel[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  return acknowledged;
}

TEST(Crash, EveryAcknowledgedFileIsWholeAndNothingIsReadableOnDisk) {
  TemporaryFolder folder;
  const auto data = folder.path() / "data";
  {
    TestPlatform(data).add_tenant("a");
  }
  int total = 0;
  for (int wanted : {3, 7}) {
    const auto round = folder.path() / ("round-" + std::to_string(wanted));
    std::filesystem::copy(data, round, std::filesystem::copy_options::recursive);
    std::filesystem::copy_file(data.string() + ".keys", round.string() + ".keys");
    std::filesystem::permissions(round, std::filesystem::perms::owner_all);
    const int acknowledged = acknowledged_until_killed(round, wanted);
    ASSERT_GE(acknowledged, wanted);
    EXPECT_TRUE(std::filesystem::exists(round / "tenants/a/store.db-wal")) << "killed while open";
    EXPECT_EQ(files_holding(round, planted()), std::vector<std::string>());

    TestPlatform platform(round);
    const auto scope = platform.scope("a");
    const auto store = platform.store("a");
    for (int n = 0; n < acknowledged; ++n) {
      const auto id = file_id("f" + std::to_string(n));
      const auto content = store->file_content(scope, id);
      ASSERT_OK(content);
      EXPECT_EQ(content->size(), 300'006u);
      EXPECT_EQ(keys_of(*store, scope, id).size(), 20u);
      EXPECT_EQ(store->search_text(scope, {"zqchunkword"}, {id}, 100)->size(), 20u);
      EXPECT_OK(store->get_chat(scope, chat_id("c" + std::to_string(n))));
    }
    // A file that was not acknowledged is either whole or not there.
    const auto files = must(store->list_files(scope, {.limit = 100}));
    for (const FileRecord& file : files) {
      EXPECT_OK(store->file_content(scope, file.id));
    }
    write_round(*store, scope, 1000);
    EXPECT_EQ(files_holding(round, planted()), std::vector<std::string>());
    total += acknowledged;
  }
  EXPECT_GE(total, 10);
}

// The control: the same scan finds every word in a database without a key.
TEST(Crash, TheScanFindsTheWordsWhereNothingIsEncrypted) {
  TemporaryFolder folder;
  RawDatabase plain(folder.path() / "plain.db", nullptr);
  plain.run("PRAGMA journal_mode=WAL");
  plain.run("CREATE TABLE t (x)");
  for (const std::string& word : planted()) plain.run("INSERT INTO t VALUES (?1)", {word});
  plain.run("CREATE VIRTUAL TABLE f USING fts5 (x)");
  plain.run("INSERT INTO f VALUES ('zqchunkword')");
  EXPECT_GE(files_holding(folder.path(), planted()).size(), planted().size());
}

TEST(Crash, DeletedWordsLeaveTheTextIndexAndFreedPages) {
  TemporaryFolder folder;
  TestPlatform platform(folder.path() / "data");
  platform.add_tenant("a");
  const auto scope = platform.scope("a");
  const auto store = platform.store("a");
  for (int n = 0; n < 3; ++n) write_round(*store, scope, n);
  const auto file = sample_file("gone");
  ASSERT_OK(store->put_file(scope, file, "x"));
  ASSERT_OK(
      store->replace_chunks(scope, file.id, sample_chunks("gone", 40, "zqvanishing"), sample_vectors(40)));
  const auto index_holds = [&](const std::string& word) {
    RawDatabase raw(platform.database_path("a"), &scope.key(crypto::Purpose::Database));
    for (const std::string& block : raw.run("SELECT block FROM chunk_text_data")) {
      if (block.find(word) != std::string::npos) return true;
    }
    return false;
  };
  EXPECT_TRUE(index_holds("zqvanish")) << "control: the scan sees words that are there";
  ASSERT_OK(store->delete_file(scope, file.id));
  EXPECT_FALSE(index_holds("zqvanish"));
  EXPECT_TRUE(index_holds("zqchunkword"));
  EXPECT_EQ(std::filesystem::file_size(platform.database_path("a").string() + "-wal"), 0u);
}

}  // namespace
}  // namespace bulkhead::storage
