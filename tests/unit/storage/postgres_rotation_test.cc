// PostgreSQL stores that an earlier release made are brought up to date, and their records to data keys.
#include "postgres_server.h"
#include "storage/record_parts.h"
#include "storage/seal.h"
#include "storage/upkeep.h"

namespace bulkhead::storage {
namespace {

using crypto::Purpose;

class PostgresRotation : public ::testing::TestWithParam<PostgresLayout> {
 protected:
  static std::string bytea(const base::Bytes& bytes) { return "'\\x" + base::hex_encode(bytes) + "'"; }
  // Row security binds the tables' owner too, so the superuser does this.
  void back_to_version_1() {
    const auto scope = pg.scope("hospital");
    const RecordSealer direct = must(RecordSealer::before_data_keys(scope));
    auto raw = pg.superuser("hospital");
    const auto seal = [&](const RecordPlace& place, std::string_view text) {
      return bytea(direct.seal(place, text));
    };
    raw->must_run(
        "UPDATE files SET name_box = " + seal({RecordKind::FileName, "f1"}, "Old name") + ", details_box = " +
        bytea(direct.seal({RecordKind::FileDetails, "f1"},
                          pack_parts({"assistants", "alice", "text/plain", "x"}))) +
        ", status_detail_box = " + seal({RecordKind::FileStatusDetail, "f1"}, "") + ", access_box = " +
        seal({RecordKind::FileAccess, "f1"}, R"({"shared":true,"users":[],"groups":[],"roles":[]})"));
    raw->must_run("UPDATE file_pieces SET box = " + seal({RecordKind::FilePiece, "f1", 0, 1}, "words"));
    raw->must_run("UPDATE attachments SET error_box = " +
                  bytea(direct.seal({RecordKind::AttachmentError, "vs1/f1"}, pack_parts({"", "old error"}))));
    raw->must_run(
        "UPDATE vector_stores SET name_box = " + seal({RecordKind::VectorStoreName, "vs1"}, "Shelf") +
        ", details_box = " + seal({RecordKind::VectorStoreDetails, "vs1"}, "alice") +
        ", metadata_box = " + seal({RecordKind::VectorStoreMetadata, "vs1"}, "{}"));
    raw->must_run("UPDATE chats SET details_box = " +
                  bytea(direct.seal({RecordKind::ChatDetails, "c1"}, pack_parts({"alice", "m"}))) +
                  ", metadata_box = " + seal({RecordKind::ChatMetadata, "c1"}, "{}") +
                  ", messages_box = " + seal({RecordKind::ChatMessages, "c1"}, "old messages") +
                  ", completion_box = " + seal({RecordKind::ChatCompletion, "c1"}, "{}"));
    for (const char* table : {"files", "vector_stores", "chats"}) {
      raw->must_run("ALTER TABLE " + std::string(table) + " DROP COLUMN key_version, DROP COLUMN key_box");
    }
    // Originals alone were counted then.
    raw->must_run("DELETE FROM meta WHERE name IN ('files', 'vector_stores', 'chats', 'api_keys')");
    raw->must_run("UPDATE meta SET value = 5 WHERE name = 'bytes_used'");
    raw->must_run("UPDATE schema_version SET version = 1");
  }
  void reopen_backend() {
    pg.platform.manager->close(tenant_id("hospital"));
    auto made = PostgresBackend::create(pg.options(), *pg.platform.platform, pg.platform.clock);
    ASSERT_OK(made);
    ASSERT_OK((*made)->check());
    pg.backend = made->get();
    pg.platform.manager->add_backend("pg", std::move(*made));
  }
  void expect_all() {
    const auto scope = pg.scope("hospital");
    const auto store = pg.store("hospital");
    EXPECT_EQ(must(store->get_file(scope, file_id("f1"))).name, "Old name");
    EXPECT_EQ(must(store->file_content(scope, file_id("f1"))), "words");
    EXPECT_EQ(must(store->get_attachment(scope, store_id("vs1"), file_id("f1"))).error_message, "old error");
    EXPECT_EQ(must(store->get_vector_store(scope, store_id("vs1"))).name, "Shelf");
    EXPECT_EQ(must(store->get_chat(scope, chat_id("c1"))).messages_json, "old messages");
    EXPECT_EQ(must(store->list_chats(scope, {"alice"}, {})).size(), 1u);
  }
  PostgresPlatform pg{GetParam()};
};

TEST_P(PostgresRotation, AStoreOfTheSchemaBeforeIsReadAndMoved) {
  pg.add_tenant("hospital");
  const auto scope = pg.scope("hospital");
  auto store = pg.store("hospital");
  ASSERT_OK(store->put_file(scope, sample_file("f1"), "words"));
  VectorStoreRecord shelf{.id = store_id("vs1")};
  shelf.owner = "alice";
  ASSERT_OK(store->put_vector_store(scope, shelf));
  ASSERT_OK(store->put_attachment(scope, {.store = store_id("vs1"), .file = file_id("f1")}));
  ChatRecord chat{.id = chat_id("c1")};
  chat.owner = "alice";
  ASSERT_OK(store->put_chat(scope, chat));
  store.reset();
  back_to_version_1();
  reopen_backend();
  expect_all();
  const Usage counted = must(pg.store("hospital")->usage(scope));
  EXPECT_EQ(counted, (Usage{counted.bytes, 1, 1, 1, 0}));
  EXPECT_GT(counted.bytes, 100u);
  EXPECT_EQ(counted, must(pg.store("hospital")->recount_usage(scope)));
  EXPECT_FAILS(StorageError::NotFound, pg.store("hospital")->data_key_id(scope, "file/f1"));

  Upkeep upkeep(*pg.platform.manager, *pg.platform.directory);
  (void)upkeep.run_once([] { return false; });
  for (const char* subject : {"file/f1", "vector_store/vs1", "chat/c1"}) {
    EXPECT_OK(pg.store("hospital")->data_key_id(scope, subject));
  }
  expect_all();
  ASSERT_OK(upkeep.rotate(tenant_id("hospital"),
                          {.tenant_key = true, .purposes = {Purpose::Database, Purpose::RecordSeal}}));
  EXPECT_EQ(upkeep.run_once([] { return false; }).size(), 1u);
  expect_all();
}

// Where the rows are the database's to give out, the seals still tell one record's data key from another's.
TEST_P(PostgresRotation, ADataKeyOfAnotherRecordDoesNotOpenThisOne) {
  pg.add_tenant("hospital");
  const auto scope = pg.scope("hospital");
  const auto store = pg.store("hospital");
  for (const char* id : {"f1", "f2"}) ASSERT_OK(store->put_file(scope, sample_file(id), "words"));
  EXPECT_OK(store->file_content(scope, file_id("f1")));
  pg.superuser("hospital")
      ->must_run("UPDATE files SET key_box = (SELECT key_box FROM files WHERE id = 'f2') WHERE id = 'f1'");
  EXPECT_FAILS(StorageError::SealBroken, store->file_content(scope, file_id("f1")));
  EXPECT_OK(store->file_content(scope, file_id("f2"))) << "control";
}

INSTANTIATE_TEST_SUITE_P(Layouts, PostgresRotation,
                         ::testing::Values(PostgresLayout::Schema, PostgresLayout::Database,
                                           PostgresLayout::RowLevelSecurity));

}  // namespace
}  // namespace bulkhead::storage
