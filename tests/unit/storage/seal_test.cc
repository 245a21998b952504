// Invariant I3 against somebody who can write any SQL into a tenant's store.
#include "storage/seal.h"

#include "raw_database.h"
#include "storage/seal_alarm.h"
#include "store_fixture.h"

namespace bulkhead::storage {
namespace {

class Seals : public ::testing::Test {
 protected:
  void SetUp() override {
    platform.add_tenant("a");
    platform.add_tenant("b");
    for (const char* tenant : {"a", "b"}) {
      const auto scope = platform.scope(tenant);
      const auto store = platform.store(tenant);
      ASSERT_OK(store->put_file(scope, sample_file("f1"), std::string(600'000, *tenant)));
      ASSERT_OK(store->put_file(scope, sample_file("f2"), "other"));
      ASSERT_OK(store->replace_chunks(scope, file_id("f1"), sample_chunks("f1", 4), sample_vectors(4)));
      ChatRecord chat{.id = chat_id("c1")};
      chat.owner = "alice";
      chat.messages_json = std::string("secret of ") + tenant;
      ASSERT_OK(store->put_chat(scope, chat));
    }
  }
  RawDatabase raw(std::string_view tenant) {
    return RawDatabase(platform.database_path(tenant),
                       &platform.scope(tenant).key(crypto::Purpose::Database));
  }
  std::string box(std::string_view tenant, const std::string& sql) { return raw(tenant).run(sql).at(0); }

  TemporaryFolder folder;
  TestPlatform platform{folder.path() / "data"};
};

// Whoever meets the seal, the alarm names tenant and record, and nothing of what it holds.
TEST_F(Seals, ABrokenSealIsHeardOfOnEveryPath) {
  std::vector<std::pair<std::string, std::string>> heard;
  set_seal_alarm(
      [&heard](std::string_view tenant, std::string_view record) { heard.emplace_back(tenant, record); });
  const auto scope = platform.scope("a");
  const auto store = platform.store("a");
  const auto keys = keys_of(*store, scope, file_id("f1"));
  EXPECT_OK(store->get_chunks(scope, keys));
  EXPECT_OK(store->get_chat(scope, chat_id("c1")));
  EXPECT_TRUE(heard.empty()) << "control: whole records are silent";
  raw("a").run("UPDATE chunks SET box = ?1 WHERE key = (SELECT min(key) FROM chunks)",
               {box("a", "SELECT box FROM chunks ORDER BY key DESC")});
  raw("a").run("UPDATE chats SET messages_box = completion_box");
  EXPECT_FAILS(StorageError::SealBroken, store->get_chunks(scope, {keys[0]}));
  EXPECT_FAILS(StorageError::SealBroken, store->get_chat(scope, chat_id("c1")));
  using Heard = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(heard, (Heard{{"a", "chunk.text " + file_id("f1").str() + " #0"},
                          {"a", "chat.messages " + chat_id("c1").str() + " #0"}}));
  set_seal_alarm({});
  EXPECT_FAILS(StorageError::SealBroken, store->get_chat(scope, chat_id("c1")));
  EXPECT_EQ(heard.size(), 2u) << "switched off";
}

TEST_F(Seals, AnotherTenantsChunkDoesNotOpenAndItsOwnDoes) {
  const auto scope = platform.scope("b");
  const auto store = platform.store("b");
  const auto keys = keys_of(*store, scope, file_id("f1"));
  // Both stores hold the same file id, ordinal and batch, so only the tenant tells the two apart.
  const std::string of_a = box("a", "SELECT box FROM chunks ORDER BY key");
  const std::string of_b = box("b", "SELECT box FROM chunks ORDER BY key");
  raw("b").run("UPDATE chunks SET box = ?1 WHERE key = (SELECT min(key) FROM chunks)", {of_a});
  EXPECT_FAILS(StorageError::SealBroken, store->get_chunks(scope, {keys[0]}));
  EXPECT_FAILS(StorageError::SealBroken, store->get_chunks(scope, keys));
  EXPECT_OK(store->get_chunks(scope, {keys[1]}));
  // Control: the same way of writing, with the tenant's own chunk.
  raw("b").run("UPDATE chunks SET box = ?1 WHERE key = (SELECT min(key) FROM chunks)", {of_b});
  EXPECT_OK(store->get_chunks(scope, keys));
}

TEST_F(Seals, AChunkIsTiedToItsPlaceItsFileAndItsIngest) {
  const auto scope = platform.scope("a");
  const auto store = platform.store("a");
  auto keys = keys_of(*store, scope, file_id("f1"));
  auto database = raw("a");
  const auto boxes = database.run("SELECT box FROM chunks ORDER BY key");
  const std::string write_second = "UPDATE chunks SET box = ?1 WHERE key = 1 + (SELECT min(key) FROM chunks)";
  database.run(write_second, {boxes[0]});
  EXPECT_FAILS(StorageError::SealBroken, store->get_chunks(scope, {keys[1]})) << "other ordinal";
  database.run(write_second, {boxes[1]});
  EXPECT_OK(store->get_chunks(scope, keys));
  database.run("UPDATE batches SET file_no = 2");
  EXPECT_FAILS(StorageError::SealBroken, store->get_chunks(scope, {keys[0]})) << "other file";
  database.run("UPDATE batches SET file_no = 1");
  ASSERT_OK(store->replace_chunks(scope, file_id("f1"), sample_chunks("f1", 4), sample_vectors(4)));
  keys = keys_of(*store, scope, file_id("f1"));
  database.run(write_second, {boxes[1]});
  EXPECT_FAILS(StorageError::SealBroken, store->get_chunks(scope, {keys[1]})) << "older ingest";
}

TEST_F(Seals, AnotherTenantsVectorDoesNotEnterTheIndex) {
  const auto scope = platform.scope("b");
  const auto store = platform.store("b");
  const auto visit = [](ChunkKey, const base::FileId&, const ChunkVectors&) {};
  EXPECT_OK(store->for_each_vector(scope, visit));
  const std::string of_a = box("a", "SELECT box FROM chunk_vectors ORDER BY key");
  raw("b").run("UPDATE chunk_vectors SET box = ?1 WHERE key = (SELECT min(key) FROM chunks)", {of_a});
  EXPECT_FAILS(StorageError::SealBroken, store->for_each_vector(scope, visit));
}

TEST_F(Seals, OriginalsCantBeReorderedCutOrSwapped) {
  const auto scope = platform.scope("a");
  const auto store = platform.store("a");
  const auto content = [&] { return store->file_content(scope, file_id("f1")); };
  const auto pieces = raw("a").run("SELECT box FROM file_pieces WHERE file_no = 1 ORDER BY ordinal");
  ASSERT_EQ(pieces.size(), 3u);
  EXPECT_OK(content());
  raw("a").run("UPDATE file_pieces SET box = ?1 WHERE file_no = 1 AND ordinal = 1", {pieces[0]});
  EXPECT_FAILS(StorageError::SealBroken, content());
  raw("a").run("UPDATE file_pieces SET box = ?1 WHERE file_no = 1 AND ordinal = 1", {pieces[1]});
  EXPECT_OK(content());
  const std::string of_b = box("b", "SELECT box FROM file_pieces WHERE file_no = 1 ORDER BY ordinal");
  raw("a").run("UPDATE file_pieces SET box = ?1 WHERE file_no = 1 AND ordinal = 0", {of_b});
  EXPECT_FAILS(StorageError::SealBroken, content());
  raw("a").run("UPDATE file_pieces SET box = ?1 WHERE file_no = 1 AND ordinal = 0", {pieces[0]});
  // Cut to a consistent-looking shorter file.
  raw("a").run("DELETE FROM file_pieces WHERE file_no = 1 AND ordinal = 2");
  EXPECT_FAILS(StorageError::Corrupt, content());
  raw("a").run("UPDATE files SET pieces = 2, bytes = 524288 WHERE no = 1");
  EXPECT_FAILS(StorageError::SealBroken, content());
}

TEST_F(Seals, NamesAndChatsAreTiedToTheirIds) {
  const auto scope = platform.scope("b");
  const auto store = platform.store("b");
  EXPECT_OK(store->get_file(scope, file_id("f1")));
  raw("b").run("UPDATE files SET name_box = ?1 WHERE id = 'f1'",
               {box("a", "SELECT name_box FROM files WHERE id = 'f1'")});
  EXPECT_FAILS(StorageError::SealBroken, store->get_file(scope, file_id("f1")));
  EXPECT_FAILS(StorageError::SealBroken, store->list_files(scope, {}));
  raw("b").run("UPDATE files SET id = 'f9' WHERE id = 'f2'");
  EXPECT_FAILS(StorageError::SealBroken, store->get_file(scope, file_id("f9")));
  EXPECT_OK(store->get_chat(scope, chat_id("c1")));
  raw("b").run("UPDATE chats SET completion_box = messages_box");
  EXPECT_FAILS(StorageError::SealBroken, store->get_chat(scope, chat_id("c1")));
  raw("b").run("UPDATE chats SET messages_box = ?1, completion_box = ?2",
               {box("a", "SELECT messages_box FROM chats"), box("b", "SELECT completion_box FROM chats")});
  EXPECT_FAILS(StorageError::SealBroken, store->get_chat(scope, chat_id("c1")));
}

TEST_F(Seals, AssociatedDataKeepsItsPartsApart) {
  const auto scope = platform.scope("a");
  const RecordSealer sealer = must(RecordSealer::before_data_keys(scope));
  const RecordPlace place{RecordKind::FilePiece, "file-1", 12, 30};
  const base::Bytes box = sealer.seal(place, "content");
  EXPECT_OK(sealer.open(place, box));
  for (const RecordPlace& other :
       std::initializer_list<RecordPlace>{{RecordKind::FileName, "file-1", 12, 30},
                                          {RecordKind::FilePiece, "file-11", 2, 30},
                                          {RecordKind::FilePiece, "file-1", 30, 12},
                                          {RecordKind::FilePiece, "file-1", 12, 31},
                                          {RecordKind::FilePiece, "file-", 112, 30}}) {
    EXPECT_FAILS(StorageError::SealBroken, sealer.open(other, box));
  }
  const auto foreign = platform.scope("b");
  EXPECT_FAILS(StorageError::SealBroken, must(RecordSealer::before_data_keys(foreign)).open(place, box));
}

}  // namespace
}  // namespace bulkhead::storage
