// Rotation of a tenant's keys: nothing is lost at any point, and the older keys open nothing at the end.
#include <thread>

#include "raw_database.h"
#include "storage/seal.h"
#include "storage/upkeep.h"
#include "store_fixture.h"

namespace bulkhead::storage {
namespace {

using crypto::Purpose;

const tenancy::RotationOrder kAll{.tenant_key = true, .purposes = {Purpose::Database, Purpose::RecordSeal}};

class Rotation : public ::testing::Test {
 protected:
  void SetUp() override {
    restart();
    platform->add_tenant("a");
    platform->add_tenant("b");
    for (int i = 0; i < 5; ++i) fill("a", i);
    fill("b", 0);
  }
  void restart() {
    upkeep.reset();
    platform.reset();
    platform.emplace(folder.path() / "data");
    upkeep.emplace(*platform->manager, *platform->directory);
  }
  void fill(const char* tenant, int n) {
    const auto scope = platform->scope(tenant);
    const auto store = platform->store(tenant);
    const std::string id = "f" + std::to_string(n);
    ASSERT_OK(store->put_file(scope, sample_file(id), content(n)));
    ASSERT_OK(store->replace_chunks(scope, file_id(id), sample_chunks(id, 7), sample_vectors(7)));
    ASSERT_OK(store->put_vector_store(scope, {.id = store_id("v" + std::to_string(n)), .name = "Shelf"}));
    ChatRecord chat{.id = chat_id("c" + std::to_string(n))};
    chat.messages_json = "kept words";
    ASSERT_OK(store->put_chat(scope, chat));
  }
  static std::string content(int n) { return std::string(300'000, static_cast<char>('a' + n)); }
  void expect_all(const char* tenant, int files) {
    const auto scope = platform->scope(tenant);
    const auto store = platform->store(tenant);
    for (int n = 0; n < files; ++n) {
      const std::string id = "f" + std::to_string(n);
      const auto read = store->file_content(scope, file_id(id));
      ASSERT_OK(read);
      EXPECT_TRUE(*read == content(n));
      EXPECT_EQ(store->get_file(scope, file_id(id))->name, "Leave policy.txt");
      const auto keys = keys_of(*store, scope, file_id(id));
      EXPECT_EQ(keys.size(), 7u);
      const auto chunks = store->get_chunks(scope, keys);
      ASSERT_OK(chunks);
      EXPECT_EQ(chunks->at(3).text, "Piece 3 about parental leave.");
      EXPECT_EQ(store->search_text(scope, {"parental"}, {file_id(id)}, 99)->size(), 7u);
      EXPECT_EQ(store->get_chat(scope, chat_id("c" + std::to_string(n)))->messages_json, "kept words");
      EXPECT_EQ(store->get_vector_store(scope, store_id("v" + std::to_string(n)))->name, "Shelf");
    }
  }
  static bool never() { return false; }
  // Stops after `steps` questions.
  static std::function<bool()> after(int steps) {
    return [steps]() mutable { return steps-- <= 0; };
  }

  TemporaryFolder folder;
  std::optional<TestPlatform> platform;
  std::optional<Upkeep> upkeep;
};

TEST_F(Rotation, MovesEverythingAndDestroysTheOlderKeys) {
  const auto scope = platform->scope("a");
  const base::Secret old_database = scope.key(Purpose::Database).clone();
  const base::Secret old_seal = scope.key(Purpose::RecordSeal).clone();
  platform->manager->close(tenant_id("a"));
  const auto stolen = folder.path() / "stolen.db";
  std::filesystem::copy_file(platform->database_path("a"), stolen);

  const auto before = must(platform->directory->keyring().status(tenant_id("a")));
  ASSERT_OK(upkeep->rotate(tenant_id("a"), kAll));
  EXPECT_FAILS(tenancy::TenancyError::Busy, upkeep->rotate(tenant_id("a"), kAll));
  EXPECT_EQ(upkeep->run_once(never).size(), 1u);
  const auto after = must(platform->directory->keyring().status(tenant_id("a")));
  EXPECT_EQ(after.key_number, before.key_number + 1);
  EXPECT_NE(after.key_id, before.key_id);
  EXPECT_EQ(after.rotation, "");
  EXPECT_EQ(scope.key(Purpose::RecordSeal, 1), nullptr) << "a running scope has lost it too";
  EXPECT_FALSE(scope.key(Purpose::RecordSeal) == old_seal);
  expect_all("a", 5);
  restart();
  expect_all("a", 5);
  expect_all("b", 1);
  platform->manager->close(tenant_id("a"));
  // Control: the old key opens the copy that was made before, and not what lies there now.
  EXPECT_OK(SqliteDatabase::open({.path = stolen}, old_database));
  EXPECT_FAILS(StorageError::WrongKey,
               SqliteDatabase::open({.path = platform->database_path("a")}, old_database));
  EXPECT_FALSE(std::filesystem::exists(platform->database_path("a").string() + "-wal"));
}

class Recorder final : public WorkRecorder {
 public:
  bool works = false;
  int announced = 0;
  base::Result<void> announce(Kind kind, const base::TenantId&) override {
    EXPECT_EQ(kind, Kind::Rotation);
    if (!works) return base::Error(StorageError::Unavailable, "The log fails.");
    ++announced;
    return {};
  }
  void ended(Kind, const base::TenantId&, std::string_view) override {}
};

TEST_F(Rotation, NothingIsMovedOrDestroyedWhileItCannotBeRecorded) {
  const auto scope = platform->scope("a");
  Recorder recorder;
  upkeep->record_with(&recorder);
  ASSERT_OK(upkeep->rotate(tenant_id("a"), kAll));
  EXPECT_TRUE(upkeep->run_once(never).empty());
  EXPECT_NE(scope.key(Purpose::RecordSeal, 1), nullptr) << "the older key is there still";
  recorder.works = true;
  EXPECT_EQ(upkeep->run_once(never).size(), 1u);
  EXPECT_EQ(scope.key(Purpose::RecordSeal, 1), nullptr);
  EXPECT_EQ(recorder.announced, 1);
  EXPECT_TRUE(upkeep->run_once(never).empty());
  EXPECT_EQ(recorder.announced, 1) << "nothing to do, nothing to announce";
  expect_all("a", 5);
}

TEST_F(Rotation, GoesOnAfterAStopAtEveryStep) {
  for (int i = 0; i < 150; ++i) {
    ASSERT_OK(
        platform->store("a")->put_chat(platform->scope("a"), {.id = chat_id("more" + std::to_string(i))}));
  }
  ASSERT_OK(upkeep->rotate(tenant_id("a"), kAll));
  int rounds = 0;
  while (!platform->directory->keyring().rotating().empty() && rounds < 200) {
    (void)upkeep->run_once(after(2));
    restart();
    expect_all("a", 5);
    ++rounds;
  }
  EXPECT_GE(rounds, 4);
  EXPECT_LT(rounds, 200);
  expect_all("a", 5);
}

TEST_F(Rotation, RequestsGoOnMeanwhile) {
  const auto scope = platform->scope("a");
  const auto store = platform->store("a");
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int n = 0; !done; ++n) {
        const std::string id = "t" + std::to_string(t) + "-" + std::to_string(n);
        EXPECT_OK(store->put_file(scope, sample_file(id), "text of " + id));
        const auto read = store->file_content(scope, file_id(id));
        EXPECT_OK(read);
        if (n % 3 == 0) EXPECT_OK(store->delete_file(scope, file_id(id)));
        EXPECT_OK(store->file_content(scope, file_id("f1")));
        EXPECT_OK(store->get_chunks(scope, keys_of(*store, scope, file_id("f2"))));
        EXPECT_OK(store->list_files(scope, {}));
      }
    });
  }
  for (int round = 0; round < 3; ++round) {
    EXPECT_OK(upkeep->rotate(tenant_id("a"), kAll));
    for (int tries = 0; !platform->directory->keyring().rotating().empty() && tries < 100; ++tries) {
      (void)upkeep->run_once(never);
    }
    EXPECT_TRUE(platform->directory->keyring().rotating().empty());
  }
  done = true;
  for (auto& thread : threads) thread.join();
  restart();
  expect_all("a", 5);
}

TEST_F(Rotation, OnePurposeLeavesTheOthers) {
  const auto scope = platform->scope("a");
  const base::Secret seal = scope.key(Purpose::RecordSeal).clone();
  const base::Secret hash = scope.key(Purpose::ApiKeyHash).clone();
  const base::Secret audit = scope.key(Purpose::AuditHash).clone();
  ASSERT_OK(upkeep->rotate(tenant_id("a"), {.purposes = {Purpose::AuditHash}}));
  EXPECT_EQ(upkeep->run_once(never).size(), 1u);
  ASSERT_OK(upkeep->rotate(tenant_id("a"), {.tenant_key = true}));
  EXPECT_TRUE(scope.key(Purpose::RecordSeal) == seal);
  EXPECT_TRUE(scope.key(Purpose::ApiKeyHash) == hash) << "stored hashes of API keys stay good";
  EXPECT_FALSE(scope.key(Purpose::AuditHash) == audit);
  restart();
  EXPECT_TRUE(platform->scope("a").key(Purpose::RecordSeal) == seal);
  expect_all("a", 5);
}

// A store as the schema before data keys left it: sealed with the RecordSeal key itself.
TEST_F(Rotation, AStoreOfTheSchemaBeforeIsReadAndMoved) {
  platform->add_tenant("old");
  const auto scope = platform->scope("old");
  (void)platform->store("old");
  platform->manager->close(tenant_id("old"));
  {
    const base::Secret key = scope.key(Purpose::Database).clone();
    RawDatabase raw(platform->database_path("old"), &key);
    const RecordSealer direct = must(RecordSealer::before_data_keys(scope));
    const auto box = [&](const RecordPlace& place, std::string_view text) {
      const auto bytes = direct.seal(place, text);
      return std::string(base::as_text(bytes));
    };
    raw.run("DROP TABLE data_keys");
    raw.run("PRAGMA user_version = 1");
    raw.run(
        "INSERT INTO files (id, name_box, purpose, owner, content_type, bytes, created, status, "
        "status_detail_box, access, sha256, pieces) VALUES ('old', ?1, 'assistants', 'alice', "
        "'text/plain', 5, 1, 0, ?2, '{\"shared\":true,\"users\":[],\"groups\":[],\"roles\":[]}', 'x', 1)",
        {box({RecordKind::FileName, "old"}, "Old name"), box({RecordKind::FileStatusDetail, "old"}, "")});
    raw.run("INSERT INTO file_pieces (file_no, ordinal, box) SELECT no, 0, ?1 FROM files WHERE id = 'old'",
            {box({RecordKind::FilePiece, "old", 0, 1}, "words")});
    // Originals alone were counted then.
    raw.run("DELETE FROM meta WHERE name IN ('files', 'vector_stores', 'chats', 'api_keys')");
    raw.run("UPDATE meta SET value = 5 WHERE name = 'bytes_used'");
  }
  const auto store = platform->store("old");
  const Usage counted = must(store->usage(scope));
  EXPECT_EQ(counted.files, 1u);
  EXPECT_GT(counted.bytes, 100u);
  EXPECT_EQ(counted, must(store->recount_usage(scope)));
  EXPECT_EQ(must(store->file_content(scope, file_id("old"))), "words");
  EXPECT_FAILS(StorageError::NotFound, store->data_key_id(scope, "file/old"));
  ASSERT_OK(store->set_file_status(scope, file_id("old"), FileStatus::Processed, "read"));
  (void)upkeep->run_once(never);
  EXPECT_OK(store->data_key_id(scope, "file/old"));
  EXPECT_EQ(must(store->file_content(scope, file_id("old"))), "words");
  EXPECT_EQ(must(store->get_file(scope, file_id("old"))).status_detail, "read");
  EXPECT_TRUE(platform->manager->take_upkeep().empty());
  // The very first record-seal key is not needed any more.
  ASSERT_OK(upkeep->rotate(tenant_id("old"), kAll));
  EXPECT_EQ(upkeep->run_once(never).size(), 1u);
  restart();
  EXPECT_EQ(must(platform->store("old")->file_content(platform->scope("old"), file_id("old"))), "words");
}

TEST_F(Rotation, TheRegistryOfTheSchemaBeforeIsReadOn) {
  upkeep.reset();
  const auto scope = platform->scope("a");
  const auto wrapped = must(platform->platform->load_all()).at(0);
  platform.reset();
  {
    const auto keys = must(crypto::PlatformKeys::load((folder.path() / "data").string() + ".keys"));
    const auto document =
        must(base::json::Document::parse(bytes_of(folder.path() / "data/platform.key.box")));
    const auto box = base::base64url_decode(*document.root()["box"].as_string());
    const base::Secret key =
        must(keys->unwrap({.platform_version = 1, .box = *box}, "bulkhead/registry-key/1"));
    RawDatabase raw(folder.path() / "data/platform.db", &key);
    for (const char* column : {"key_number", "key_provider", "key_ring", "rotation"}) {
      raw.run("ALTER TABLE tenants DROP COLUMN " + std::string(column));
    }
    for (const char* table : {"erasures", "moves", "tombstones"}) raw.run("DROP TABLE " + std::string(table));
    raw.run("PRAGMA user_version = 1");
  }
  restart();
  const auto after = must(platform->platform->load_all()).at(0);
  EXPECT_EQ(after.wrapped_key.box, wrapped.wrapped_key.box);
  EXPECT_EQ(after.key_number, 1u);
  EXPECT_TRUE(after.ring.empty());
  expect_all("a", 5);
  ASSERT_OK(upkeep->rotate(tenant_id("a"), kAll));
  EXPECT_EQ(upkeep->run_once(never).size(), 1u);
  expect_all("a", 5);
}

TEST_F(Rotation, ADataKeyOfAnotherRecordDoesNotOpenThisOne) {
  const auto scope = platform->scope("a");
  platform->manager->close(tenant_id("a"));
  {
    const base::Secret key = scope.key(Purpose::Database).clone();
    RawDatabase(platform->database_path("a"), &key)
        .run(
            "UPDATE data_keys SET box = (SELECT box FROM data_keys WHERE subject = 'file/f1') "
            "WHERE subject = 'file/f0'");
  }
  const auto store = platform->store("a");
  EXPECT_FAILS(StorageError::SealBroken, store->file_content(scope, file_id("f0")));
  EXPECT_OK(store->file_content(scope, file_id("f1"))) << "control";
}

TEST_F(Rotation, ADeletedFilesDataKeyIsGoneAndSoIsWhatItSealed) {
  const auto scope = platform->scope("a");
  const auto store = platform->store("a");
  EXPECT_OK(store->data_key_id(scope, "file/f0"));
  ASSERT_OK(store->delete_file(scope, file_id("f0")));
  ASSERT_OK(store->delete_chat(scope, chat_id("c0")));
  ASSERT_OK(store->delete_vector_store(scope, store_id("v0")));
  for (const char* subject : {"file/f0", "chat/c0", "vector_store/v0"}) {
    EXPECT_FAILS(StorageError::NotFound, store->data_key_id(scope, subject));
  }
  EXPECT_OK(store->data_key_id(scope, "file/f1")) << "control";
}

}  // namespace
}  // namespace bulkhead::storage
