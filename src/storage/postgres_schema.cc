#include "storage/postgres_schema.h"

#include <array>

#include "storage/postgres_usage.h"

namespace bulkhead::storage {
namespace {

constexpr auto kTables =
    std::to_array<std::string_view>({"meta", "files", "file_pieces", "batches", "chunks", "chunk_vectors",
                                     "words", "vector_stores", "attachments", "api_keys", "chats"});

constexpr auto kSearchTables = std::to_array<std::string_view>({"search_vectors", "search_state"});

// `vectors_version` in search_state is that of meta as long as every sealed vector has its rotated one here;
// 0 while they are being made.
constexpr Sql kSearchScript = R"sql(
CREATE TABLE search_state (@C@
  name text NOT NULL,
  value bigint NOT NULL,
  CONSTRAINT search_state_key PRIMARY KEY (@K@ name));
CREATE TABLE search_vectors (@C@
  key bigint NOT NULL,
  batch bigint NOT NULL,
  space bytea NOT NULL,
  dimensions bigint NOT NULL,
  point vector NOT NULL,
  CONSTRAINT search_vectors_key PRIMARY KEY (@K@ key, space)))sql";
constexpr Sql kSearchIndexes = R"sql(
CREATE INDEX search_vectors_by_space ON search_vectors (@K@ space, dimensions, batch);
CREATE INDEX search_vectors_by_batch ON search_vectors (@K@ batch);
)sql";

constexpr Sql kTenantColumn = "tenant text NOT NULL DEFAULT current_setting('bulkhead.tenant', true),";

// @C@ is the tenant's column, @K@ its place in a key; both empty where the tables are the tenant's own.
// Foreign keys hold the tenant too: PostgreSQL checks them past the row policies.
constexpr Sql kScript = R"sql(
CREATE TABLE schema_version (version bigint NOT NULL);
INSERT INTO schema_version VALUES (1);

CREATE TABLE meta (@C@
  name text NOT NULL,
  value bigint NOT NULL,
  CONSTRAINT meta_key PRIMARY KEY (@K@ name));

CREATE TABLE files (@C@
  no bigint GENERATED ALWAYS AS IDENTITY,
  id text NOT NULL,
  name_box bytea NOT NULL,
  details_box bytea NOT NULL,
  status_detail_box bytea NOT NULL,
  access_box bytea NOT NULL,
  bytes bigint NOT NULL,
  created bigint NOT NULL,
  status bigint NOT NULL,
  pieces bigint NOT NULL,
  batch bigint NOT NULL DEFAULT 0,
  CONSTRAINT files_key PRIMARY KEY (@K@ no),
  CONSTRAINT files_id UNIQUE (@K@ id));
CREATE INDEX files_by_time ON files (@K@ created, no);

CREATE TABLE file_pieces (@C@
  file_no bigint NOT NULL,
  ordinal bigint NOT NULL,
  box bytea NOT NULL,
  CONSTRAINT file_pieces_key PRIMARY KEY (@K@ file_no, ordinal),
  CONSTRAINT file_pieces_file FOREIGN KEY (@K@ file_no) REFERENCES files (@K@ no) ON DELETE CASCADE);
ALTER TABLE file_pieces ALTER COLUMN box SET STORAGE EXTERNAL;

CREATE TABLE batches (@C@
  batch bigint GENERATED ALWAYS AS IDENTITY,
  file_no bigint NOT NULL,
  chunks bigint NOT NULL,
  words bigint NOT NULL,
  CONSTRAINT batches_key PRIMARY KEY (@K@ batch),
  CONSTRAINT batches_file_once UNIQUE (@K@ file_no),
  CONSTRAINT batches_file FOREIGN KEY (@K@ file_no) REFERENCES files (@K@ no) ON DELETE CASCADE);
CREATE TABLE chunks (@C@
  key bigint NOT NULL,
  words bigint NOT NULL,
  box bytea NOT NULL,
  CONSTRAINT chunks_key PRIMARY KEY (@K@ key));
CREATE TABLE chunk_vectors (@C@
  key bigint NOT NULL,
  box bytea NOT NULL,
  CONSTRAINT chunk_vectors_key PRIMARY KEY (@K@ key));
ALTER TABLE chunk_vectors ALTER COLUMN box SET STORAGE EXTERNAL;
CREATE TABLE words (@C@
  word bytea NOT NULL,
  key bigint NOT NULL,
  count bigint NOT NULL,
  CONSTRAINT words_key PRIMARY KEY (@K@ word, key));
CREATE INDEX words_by_chunk ON words (@K@ key);

CREATE TABLE vector_stores (@C@
  no bigint GENERATED ALWAYS AS IDENTITY,
  id text NOT NULL,
  name_box bytea NOT NULL,
  details_box bytea NOT NULL,
  metadata_box bytea NOT NULL,
  owner_tag bytea NOT NULL,
  created bigint NOT NULL,
  last_active bigint NOT NULL,
  is_default boolean NOT NULL,
  CONSTRAINT vector_stores_key PRIMARY KEY (@K@ no),
  CONSTRAINT vector_stores_id UNIQUE (@K@ id));
CREATE INDEX vector_stores_by_time ON vector_stores (@K@ created, no);

CREATE TABLE attachments (@C@
  no bigint GENERATED ALWAYS AS IDENTITY,
  store_no bigint NOT NULL,
  file_no bigint NOT NULL,
  created bigint NOT NULL,
  status bigint NOT NULL,
  error_box bytea NOT NULL,
  chunks bigint NOT NULL,
  CONSTRAINT attachments_key PRIMARY KEY (@K@ no),
  CONSTRAINT attachments_once UNIQUE (@K@ store_no, file_no),
  CONSTRAINT attachments_store FOREIGN KEY (@K@ store_no) REFERENCES vector_stores (@K@ no) ON DELETE CASCADE,
  CONSTRAINT attachments_file FOREIGN KEY (@K@ file_no) REFERENCES files (@K@ no) ON DELETE CASCADE);
CREATE INDEX attachments_by_time ON attachments (@K@ store_no, created, no);
CREATE INDEX attachments_by_file ON attachments (@K@ file_no);

CREATE TABLE api_keys (@C@
  id text NOT NULL,
  box bytea NOT NULL,
  created bigint NOT NULL,
  revoked boolean NOT NULL,
  CONSTRAINT api_keys_key PRIMARY KEY (@K@ id));

CREATE TABLE chats (@C@
  no bigint GENERATED ALWAYS AS IDENTITY,
  id text NOT NULL,
  details_box bytea NOT NULL,
  metadata_box bytea NOT NULL,
  messages_box bytea NOT NULL,
  completion_box bytea NOT NULL,
  owner_tag bytea NOT NULL,
  created bigint NOT NULL,
  expires bigint NOT NULL,
  CONSTRAINT chats_key PRIMARY KEY (@K@ no),
  CONSTRAINT chats_id UNIQUE (@K@ id));
CREATE INDEX chats_by_time ON chats (@K@ created, no);
CREATE INDEX chats_by_owner ON chats (@K@ owner_tag, created, no);
CREATE INDEX chats_by_expiry ON chats (@K@ expires);
)sql";

// Version 2: a data key for every file, vector store and chat, beside the version of the key that wraps it.
constexpr Sql kVersion2 = R"sql(
ALTER TABLE files ADD COLUMN key_version bigint NOT NULL DEFAULT 0, ADD COLUMN key_box bytea NOT NULL DEFAULT '';
ALTER TABLE vector_stores ADD COLUMN key_version bigint NOT NULL DEFAULT 0,
  ADD COLUMN key_box bytea NOT NULL DEFAULT '';
ALTER TABLE chats ADD COLUMN key_version bigint NOT NULL DEFAULT 0, ADD COLUMN key_box bytea NOT NULL DEFAULT '';
CREATE INDEX files_by_key ON files (@K@ key_version);
CREATE INDEX vector_stores_by_key ON vector_stores (@K@ key_version);
CREATE INDEX chats_by_key ON chats (@K@ key_version);
UPDATE schema_version SET version = 2;
)sql";

// Version 3: what is kept is counted (storage/postgres_usage.h). A store's rows of meta are made, and its
// rows counted, when it is opened next.
constexpr Sql kVersion3 = "UPDATE schema_version SET version = 3;";

// The function runs with its owner's rights, so it must not trust its caller's search path: a path of its
// own is set below.
constexpr Sql kTenantCheck = R"sql(
CREATE TABLE tenant_access (tenant text PRIMARY KEY, proof_hash bytea NOT NULL);
CREATE FUNCTION current_tenant() RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER AS $$
BEGIN
  RETURN (SELECT a.tenant FROM tenant_access a
          WHERE a.tenant = pg_catalog.current_setting('bulkhead.tenant', true)
            AND a.proof_hash = pg_catalog.sha256(pg_catalog.convert_to(
                  pg_catalog.current_setting('bulkhead.proof', true), 'UTF8')));
END $$;
REVOKE ALL ON FUNCTION current_tenant() FROM PUBLIC;
)sql";

void add_policy(Ddl& out, std::string_view table) {
  out.sql("ALTER TABLE ").name(table).sql(" ENABLE ROW LEVEL SECURITY; ALTER TABLE ").name(table);
  out.sql(" FORCE ROW LEVEL SECURITY; CREATE POLICY own_rows ON ").name(table);
  // In a subquery it is asked once a statement, not once a row.
  out.sql(" USING (tenant = (SELECT current_tenant())) WITH CHECK (tenant = (SELECT current_tenant()));\n");
}

}  // namespace

std::span<const std::string_view> postgres_tables() { return kTables; }

Ddl postgres_upgrade(bool shared, std::int64_t from) {
  Ddl out;
  if (from < 2) out.filled(kVersion2, Sql(""), shared ? Sql("tenant,") : Sql(""));
  return out.add(postgres_usage_triggers()).sql(kVersion3);
}

Ddl postgres_schema(bool shared, std::string_view schema) {
  Ddl out;
  if (shared) {
    out.sql(kTenantCheck);
    out.sql("ALTER FUNCTION current_tenant() SET search_path = ").name(schema).sql(", pg_temp;\n");
  }
  out.filled(kScript, shared ? kTenantColumn : Sql(""), shared ? Sql("tenant,") : Sql(""));
  out.add(postgres_upgrade(shared, 1));
  if (!shared) return out;
  for (std::string_view table : kTables) add_policy(out, table);
  return out;
}

std::span<const std::string_view> postgres_search_tables() { return kSearchTables; }

Ddl postgres_search_schema(bool shared, std::string_view role) {
  const Sql key = shared ? Sql("tenant,") : Sql("");
  Ddl out;
  out.filled(kSearchScript, shared ? kTenantColumn : Sql(""), key);
  out.sql(shared ? Sql(" PARTITION BY LIST (tenant);") : Sql(";"));
  out.filled(kSearchIndexes, Sql(""), key);
  for (std::string_view table : kSearchTables) {
    if (shared) add_policy(out, table);
    out.sql("GRANT SELECT, INSERT, UPDATE, DELETE ON ").name(table).sql(" TO ").name(role).sql(";\n");
  }
  return out;
}

// Attached afterwards: that waits for nobody who reads or writes in other partitions. The serving role has no
// right on it, only on the table that it is a part of.
Ddl postgres_search_partition(std::string_view partition, std::string_view tenant) {
  Ddl out;
  out.sql("CREATE TABLE ").name(partition);
  out.sql(" (LIKE search_vectors INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES);\n");
  add_policy(out, partition);
  out.sql("ALTER TABLE search_vectors ATTACH PARTITION ").name(partition);
  out.sql(" FOR VALUES IN (").literal(tenant).sql(");\n");
  return out;
}

Ddl postgres_grants(bool shared, std::string_view schema, std::string_view role) {
  Ddl out;
  out.sql("GRANT USAGE ON SCHEMA ").name(schema).sql(" TO ").name(role).sql(";\n");
  for (std::string_view table : kTables) {
    out.sql("GRANT SELECT, INSERT, UPDATE, DELETE ON ").name(table).sql(" TO ").name(role).sql(";\n");
  }
  out.sql("GRANT SELECT ON schema_version TO ").name(role).sql(";\n");
  if (shared) out.sql("GRANT EXECUTE ON FUNCTION current_tenant() TO ").name(role).sql(";\n");
  return out;
}

}  // namespace bulkhead::storage
