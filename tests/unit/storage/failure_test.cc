// Wrong keys, damaged files, full disks, and what the text of each error tells.
#include <sys/resource.h>

#include <csignal>
#include <fstream>

#include "raw_database.h"
#include "storage/search_words.h"
#include "storage/sqlite_error.h"
#include "store_fixture.h"

namespace bulkhead::storage {
namespace {

class Failures : public ::testing::Test {
 protected:
  void SetUp() override {
    platform.add_tenant("a");
    ASSERT_OK(
        platform.store("a")->put_file(platform.scope("a"), sample_file("f1"), std::string(200'000, 'z')));
  }
  void damage(const std::filesystem::path& path, std::streamoff at) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(at);
    const int byte = file.get();
    file.seekp(at);
    file.put(static_cast<char>(byte ^ 1));
  }
  // An upload that does not fit fails, leaves nothing half there, and the store goes on working.
  void expect_whole_after(StorageError code) {
    const auto scope = platform.scope("a");
    const auto store = platform.store("a");
    EXPECT_FAILS(code, store->put_file(scope, sample_file("big"), std::string(20u << 20, 'b')));
    EXPECT_FAILS(StorageError::NotFound, store->get_file(scope, file_id("big")));
    EXPECT_EQ(must(store->usage(scope)).files, 1u);
    EXPECT_EQ(must(store->usage(scope)), must(store->recount_usage(scope)));
    EXPECT_EQ(*store->file_content(scope, file_id("f1")), std::string(200'000, 'z'));
  }
  void expect_usable() {
    const auto scope = platform.scope("a");
    const auto store = platform.store("a");
    ASSERT_OK(store->put_file(scope, sample_file("big"), std::string(20u << 20, 'b')));
    EXPECT_EQ(store->file_content(scope, file_id("big"))->size(), 20u << 20);
    EXPECT_EQ(raw_pieces(), 1 + 80);
  }
  std::size_t raw_pieces() {
    RawDatabase raw(platform.database_path("a"), &platform.scope("a").key(crypto::Purpose::Database));
    return std::stoul(raw.run("SELECT count(*) FROM file_pieces").at(0));
  }

  TemporaryFolder folder;
  TestPlatform platform{folder.path() / "data"};
};

TEST_F(Failures, AFullStoreRefusesAndStaysWhole) {
  const auto store = std::static_pointer_cast<SqliteStore>(platform.store("a"));
  store->set_pages_max(500);
  expect_whole_after(StorageError::Full);
  store->set_pages_max(1 << 30);
  expect_usable();
}

TEST_F(Failures, AFullDiskRefusesAndStaysWhole) {
  // The kernel refuses to let any file grow past 4 MiB: the same path as a full disk.
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 4u << 20;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  expect_whole_after(StorageError::Full);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  expect_usable();
}

TEST_F(Failures, AWrongKeyIsToldApartAndSaysWhatToDo) {
  const auto path = platform.database_path("a");
  platform.manager->close(tenant_id("a"));
  base::Secret wrong(32);
  const auto opened = open_tenant_database(path, wrong, SqliteDatabase::Mode::ReadWrite);
  EXPECT_FAILS(StorageError::WrongKey, opened);
  EXPECT_NE(opened.error().message().find("key file"), std::string::npos);
  EXPECT_EQ(opened.error().message().find(path.string()), std::string::npos);
  // Control: the right one opens.
  EXPECT_OK(open_tenant_database(path, platform.scope("a").key(crypto::Purpose::Database),
                                 SqliteDatabase::Mode::ReadWrite));
}

TEST_F(Failures, AFlippedByteIsNeverReadAsData) {
  const auto path = platform.database_path("a");
  EXPECT_OK(platform.store("a")->file_content(platform.scope("a"), file_id("f1")));
  platform.manager->close(tenant_id("a"));
  // Every page in turn: opening or reading fails, or the page was not part of what was read.
  const auto size = static_cast<std::streamoff>(std::filesystem::file_size(path));
  std::size_t refused = 0;
  for (std::streamoff page = 0; page < size / 4096; ++page) {
    damage(path, page * 4096 + 2000);
    const auto store = platform.manager->open(platform.scope("a"));
    if (!store) {
      EXPECT_TRUE(store.error().is(StorageError::Corrupt) || store.error().is(StorageError::WrongKey))
          << store.error().describe();
      ++refused;
    } else if (const auto content = (*store)->file_content(platform.scope("a"), file_id("f1")); content) {
      EXPECT_EQ(*content, std::string(200'000, 'z'));
    } else {
      // SQLCipher hands out a page that fails its check as zeros and errs at the next one; where
      // that is the last page of a blob, the record's own seal is what refuses it.
      EXPECT_TRUE(content.error().is(StorageError::Corrupt) || content.error().is(StorageError::SealBroken))
          << content.error().describe();
      ++refused;
    }
    platform.manager->close(tenant_id("a"));
    damage(path, page * 4096 + 2000);
  }
  EXPECT_GT(refused, 45u);
  EXPECT_OK(platform.store("a")->file_content(platform.scope("a"), file_id("f1")));
}

TEST_F(Failures, ANewerSchemaIsRefused) {
  platform.manager->close(tenant_id("a"));
  const base::Secret key = platform.scope("a").key(crypto::Purpose::Database).clone();
  RawDatabase(platform.database_path("a"), &key).run("PRAGMA user_version = 999");
  const auto opened = platform.manager->open(platform.scope("a"));
  EXPECT_FAILS(StorageError::Corrupt, opened);
  EXPECT_NE(opened.error().message().find("newer version"), std::string::npos);
  RawDatabase(platform.database_path("a"), &key).run("PRAGMA user_version = 3");
  EXPECT_OK(platform.manager->open(platform.scope("a")));
}

TEST(SqliteErrors, EachKindHasItsCodeAndTellsWhatToDo) {
  const std::pair<int, StorageError> table[] = {{SQLITE_FULL, StorageError::Full},
                                                {SQLITE_BUSY, StorageError::Busy},
                                                {SQLITE_BUSY_SNAPSHOT, StorageError::Busy},
                                                {SQLITE_IOERR_READ, StorageError::Io},
                                                {SQLITE_CORRUPT, StorageError::Corrupt},
                                                {SQLITE_CORRUPT_VTAB, StorageError::Corrupt},
                                                {SQLITE_NOTADB, StorageError::Corrupt},
                                                {SQLITE_TOOBIG, StorageError::TooLarge},
                                                {SQLITE_CONSTRAINT_UNIQUE, StorageError::AlreadyExists},
                                                {SQLITE_CANTOPEN, StorageError::Io},
                                                {SQLITE_READONLY, StorageError::Io}};
  for (const auto& [code, expected] : table) {
    const base::Error error = sqlite_error(nullptr, code, "/data/tenants/a/store.db");
    EXPECT_TRUE(error.is(expected)) << error.describe();
    EXPECT_EQ(error.message().find("/data"), std::string::npos) << "paths are for the operator";
    EXPECT_NE(error.detail().find("/data"), std::string::npos);
  }
}

TEST(SearchWords, CanOnlyBeAListOfQuotedWords) {
  EXPECT_EQ(match_any_of({"Leave", "policy"}), R"("leave" OR "policy")");
  EXPECT_EQ(match_any_of({"the", "of", "a", "?", ""}), "");
  EXPECT_EQ(match_any_of({R"(x1" OR heading:y2 NEAR(* ^z3)"}),
            R"("x1" OR "heading" OR "y2" OR "near" OR "z3")");
  EXPECT_EQ(match_any_of({"dup", "DUP"}), R"("dup")");
  EXPECT_EQ(match_any_of({std::string("a1\0b2", 5)}), R"("a1" OR "b2")");
  EXPECT_EQ(match_any_of({"\xff\xfe", "\xc3"}), "");
  EXPECT_EQ(match_any_of({std::string(1000, 'x')}).size(), 66u);
  const std::vector<std::string> many(1000, "w1 w2 w3");
  EXPECT_EQ(match_any_of(many, 2), R"("w1" OR "w2")");
}

}  // namespace
}  // namespace bulkhead::storage
