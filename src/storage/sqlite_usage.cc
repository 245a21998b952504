#include "storage/sqlite_usage.h"

#include "storage/record_json.h"

namespace bulkhead::storage {
namespace {

// Literals, since statements are fixed at compile time. `row` is "NEW.", "OLD." or "" for the table's own
// rows.
#define BYTES(row, column) "length(CAST(" row column " AS BLOB))"
#define ROW "64"
#define FILE_BYTES(row) \
  ROW " + " BYTES(row, "id") " + " BYTES(row, "name_box") " + " BYTES(row, "purpose") " + " BYTES(               \
      row,                                                                                                       \
      "owner") " + " BYTES(row,                                                                                  \
                           "content_type") " + " BYTES(row,                                                      \
                                                       "status_detail_box") " + " BYTES(row,                     \
                                                                                        "access") " +"           \
                                                                                                  " " BYTES(row, \
                                                                                                            "sha256")
#define PIECE_BYTES(row) ROW " + " BYTES(row, "box")
#define CHUNK_BYTES(row) ROW " + 2 * " BYTES(row, "box")
#define VECTOR_BYTES(row) ROW " + " BYTES(row, "box")
#define STORE_BYTES(row)                                                                         \
  ROW " + " BYTES(row, "id") " + " BYTES(row, "name_box") " + " BYTES(row, "owner") " + " BYTES( \
      row, "metadata_box")
#define ATTACHMENT_BYTES(row) ROW " + " BYTES(row, "error_code") " + " BYTES(row, "error_message")
#define KEY_BYTES(row)                                                                      \
  ROW " + " BYTES(row, "id") " + " BYTES(row, "name") " + " BYTES(row, "user") " + " BYTES( \
      row, "roles") " + " BYTES(row, "groups") " + " BYTES(row, "keyed_hash")
#define CHAT_BYTES(row)                                                                       \
  ROW " + " BYTES(row, "id") " + " BYTES(row, "owner") " + " BYTES(row, "model") " + " BYTES( \
      row, "metadata_box") " + " BYTES(row, "messages_box") " + " BYTES(row, "completion_box")
#define DATA_KEY_BYTES(row) ROW " + " BYTES(row, "subject") " + " BYTES(row, "box")

#define ADD(change) "UPDATE meta SET value = max(0, value + " change ") WHERE name = 'bytes_used'; "
#define COUNT(name, change) "UPDATE meta SET value = max(0, value + " change ") WHERE name = '" name "'; "
#define TRIGGERS(table, added, removed, old_bytes, new_bytes)                                            \
  "CREATE TRIGGER IF NOT EXISTS " table "_added AFTER INSERT ON " table " BEGIN " ADD("(" new_bytes ")") \
      added                                                                                              \
      "END; "                                                                                            \
      "CREATE TRIGGER IF NOT EXISTS " table "_removed AFTER DELETE ON " table                            \
      " BEGIN " ADD("-(" old_bytes ")") removed                                                          \
      "END; "                                                                                            \
      "CREATE TRIGGER IF NOT EXISTS " table "_changed AFTER UPDATE ON " table                            \
      " BEGIN " ADD("(" new_bytes ") - (" old_bytes ")") "END; "
#define COUNTED(table, name, bytes) \
  TRIGGERS(table, COUNT(name, "1"), COUNT(name, "-1"), bytes("OLD."), bytes("NEW."))
#define WEIGHED(table, bytes) TRIGGERS(table, "", "", bytes("OLD."), bytes("NEW."))

#define SUM(table, bytes) "(SELECT coalesce(sum(" bytes("") "), 0) FROM " table ")"
#define ALL_BYTES          \
  SUM("files", FILE_BYTES) \
  " + " SUM("vector_stores", STORE_BYTES) " + " SUM("chats", CHAT_BYTES) " + " SUM("api_keys", KEY_BYTES) \
  " + " SUM("file_pieces", PIECE_BYTES) " + " SUM("chunks", CHUNK_BYTES) " + " SUM("chunk_vectors",       \
      VECTOR_BYTES) " + " SUM("attachments", ATTACHMENT_BYTES) " + " SUM("data_keys", DATA_KEY_BYTES)
#define SET(name, value) "UPDATE meta SET value = " value " WHERE name = '" name "'; "
#define ROWS(table) SET(table, "(SELECT count(*) FROM " table ")")
#define RECOUNT \
  SET("bytes_used", ALL_BYTES) ROWS("files") ROWS("vector_stores") ROWS("chats") ROWS("api_keys")

constexpr Sql kRecount = RECOUNT;
constexpr Sql kMigration =
    "INSERT OR IGNORE INTO meta VALUES ('files', 0), ('vector_stores', 0), ('chats', 0), ('api_keys', "
    "0); " COUNTED("files", "files", FILE_BYTES) COUNTED("vector_stores", "vector_stores", STORE_BYTES)
        COUNTED("chats", "chats", CHAT_BYTES) COUNTED("api_keys", "api_keys", KEY_BYTES)
            WEIGHED("file_pieces", PIECE_BYTES) WEIGHED("chunks", CHUNK_BYTES)
                WEIGHED("chunk_vectors", VECTOR_BYTES) WEIGHED("attachments", ATTACHMENT_BYTES)
                    WEIGHED("data_keys", DATA_KEY_BYTES) RECOUNT "PRAGMA user_version = 3;";

}  // namespace

Sql usage_migration() { return kMigration; }

base::Result<Usage> read_usage(SqliteDatabase& database) {
  Statement query = database.prepare(
      "SELECT max(value) FILTER (WHERE name = 'bytes_used'), max(value) FILTER (WHERE name = 'files'), "
      "max(value) FILTER (WHERE name = 'vector_stores'), max(value) FILTER (WHERE name = 'chats'), "
      "max(value) FILTER (WHERE name = 'api_keys') FROM meta "
      "WHERE name IN ('bytes_used', 'files', 'vector_stores', 'chats', 'api_keys')");
  BULKHEAD_TRY(row, query.step());
  if (!row) return damaged("the quota");
  return Usage{query.count(0), query.count(1), query.count(2), query.count(3), query.count(4)};
}

base::Result<Usage> recount_usage(SqliteDatabase& database) {
  BULKHEAD_CHECK_OK(database.execute(kRecount));
  return read_usage(database);
}

}  // namespace bulkhead::storage
