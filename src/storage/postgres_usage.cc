#include "storage/postgres_usage.h"

#include <algorithm>
#include <string_view>

#include "storage/record_json.h"

namespace bulkhead::storage {
namespace {

struct Counted {
  std::string_view table;
  Sql bytes;    // of a row
  Sql setting;  // that counts its rows as objects; "" for none
};

const Counted kCounted[] = {
    {"files",
     "64 + octet_length(id) + octet_length(name_box) + octet_length(details_box) + "
     "octet_length(status_detail_box) + octet_length(access_box) + octet_length(key_box)",
     "bulkhead.used_files"},
    {"vector_stores",
     "64 + octet_length(id) + octet_length(name_box) + octet_length(details_box) + "
     "octet_length(metadata_box) + "
     "octet_length(owner_tag) + octet_length(key_box)",
     "bulkhead.used_vector_stores"},
    {"chats",
     "64 + octet_length(id) + octet_length(details_box) + octet_length(metadata_box) + "
     "octet_length(messages_box) + octet_length(completion_box) + octet_length(owner_tag) + "
     "octet_length(key_box)",
     "bulkhead.used_chats"},
    {"api_keys", "64 + octet_length(id) + octet_length(box)", "bulkhead.used_api_keys"},
    {"file_pieces", "64 + octet_length(box)", ""},
    {"chunks", "64 + octet_length(box)", ""},
    {"chunk_vectors", "64 + octet_length(box)", ""},
    {"words", "64", ""},
    {"attachments", "64 + octet_length(error_box)", ""},
};

// The rows of meta, in the order of Usage and of `UsageChange`; all writers lock them in it.
constexpr std::string_view kNames[] = {"bytes_used", "files", "vector_stores", "chats", "api_keys"};

std::uint64_t& field(Usage& usage, std::size_t which) {
  std::uint64_t* fields[] = {&usage.bytes, &usage.files, &usage.vector_stores, &usage.chats, &usage.api_keys};
  return *fields[which];
}

void add_to_setting(Ddl& out, Sql setting, Sql by) {
  out.sql("  IF ").sql(by).sql(" <> 0 THEN PERFORM pg_catalog.set_config('").sql(setting);
  out.sql("', (coalesce(nullif(pg_catalog.current_setting('").sql(setting);
  out.sql("', true), ''), '0')::bigint + ").sql(by).sql(")::text, true); END IF;\n");
}

void add_trigger(Ddl& out, std::string_view table, Sql name, Sql event, Sql transitions) {
  out.sql("CREATE OR REPLACE TRIGGER ").sql(name).sql(" AFTER ").sql(event).sql(" ON ").name(table);
  out.sql(" REFERENCING ").sql(transitions).sql(" FOR EACH STATEMENT EXECUTE FUNCTION ");
  out.name("count_" + std::string(table)).sql("();\n");
}

// Names that no table has as a column.
void add_function(Ddl& out, const Counted& counted) {
  out.sql("CREATE OR REPLACE FUNCTION ").name("count_" + std::string(counted.table));
  out.sql(
      "() RETURNS trigger LANGUAGE plpgsql AS $$\nDECLARE all_bytes bigint := 0; all_rows bigint := "
      "0;\nBEGIN\n");
  out.sql("  IF TG_OP <> 'INSERT' THEN SELECT all_bytes - coalesce(sum(").sql(counted.bytes);
  out.sql("), 0), all_rows - count(*) INTO all_bytes, all_rows FROM gone_rows; END IF;\n");
  out.sql("  IF TG_OP <> 'DELETE' THEN SELECT all_bytes + coalesce(sum(").sql(counted.bytes);
  out.sql("), 0), all_rows + count(*) INTO all_bytes, all_rows FROM new_rows; END IF;\n");
  add_to_setting(out, "bulkhead.used_bytes", "all_bytes");
  if (*counted.setting.text() != 0) add_to_setting(out, counted.setting, "all_rows");
  out.sql("  RETURN NULL;\nEND $$;\n");
}

}  // namespace

Ddl postgres_usage_triggers() {
  Ddl out;
  for (const Counted& counted : kCounted) {
    add_function(out, counted);
    add_trigger(out, counted.table, "count_added", "INSERT", "NEW TABLE AS new_rows");
    add_trigger(out, counted.table, "count_changed", "UPDATE",
                "OLD TABLE AS gone_rows NEW TABLE AS new_rows");
    add_trigger(out, counted.table, "count_removed", "DELETE", "OLD TABLE AS gone_rows");
  }
  return out;
}

bool UsageChange::none() const {
  return std::all_of(std::begin(by), std::end(by), [](std::int64_t each) { return each == 0; });
}

base::Result<Usage> read_usage(PostgresTransaction& transaction) {
  BULKHEAD_TRY(
      rows,
      transaction.run("SELECT max(value) FILTER (WHERE name = 'bytes_used'), max(value) FILTER (WHERE name = "
                      "'files'), max(value) FILTER (WHERE name = 'vector_stores'), max(value) FILTER (WHERE "
                      "name = 'chats'), max(value) FILTER (WHERE name = 'api_keys') FROM meta"));
  Usage usage;
  for (int i = 0; i < 5; ++i) {
    if (rows.empty() || rows.is_null(0, i)) return damaged("the quota");
    field(usage, static_cast<std::size_t>(i)) = rows.count(0, i);
  }
  return usage;
}

base::Result<UsageChange> usage_change(PostgresTransaction& transaction) {
  BULKHEAD_TRY(rows,
               transaction.run("SELECT coalesce(nullif(current_setting('bulkhead.used_' || name, true), ''), "
                               "'0')::bigint FROM unnest(ARRAY['bytes', 'files', 'vector_stores', 'chats', "
                               "'api_keys']) WITH ORDINALITY AS n(name, at) ORDER BY at"));
  UsageChange change;
  for (int i = 0; i < std::min(rows.size(), 5); ++i) change.by[i] = rows.integer(i, 0);
  return change;
}

base::Result<UsageStep> settle_usage(PostgresTransaction& transaction, const UsageChange& change) {
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (change.by[i] == 0) continue;
    BULKHEAD_TRY(set, transaction.run("UPDATE meta SET value = greatest(0, value + $2) WHERE name = $1",
                                      kNames[i], change.by[i]));
  }
  UsageStep step;
  BULKHEAD_TRY(after, read_usage(transaction));
  step.before = step.after = after;
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    field(step.before, i) = static_cast<std::uint64_t>(
        std::max<std::int64_t>(0, static_cast<std::int64_t>(field(step.after, i)) - change.by[i]));
  }
  return step;
}

base::Result<Usage> recount_usage(PostgresTransaction& transaction) {
  Usage usage;
  for (const Counted& counted : kCounted) {
    Ddl ask;
    ask.sql("SELECT coalesce(sum(")
        .sql(counted.bytes)
        .sql("), 0)::bigint, count(*) FROM ")
        .name(counted.table);
    BULKHEAD_TRY(rows, transaction.connection().run_once(ask));
    if (rows.empty()) return damaged("the quota");
    usage.bytes += rows.count(0, 0);
    for (std::size_t i = 1; i < std::size(kNames); ++i) {
      if (counted.table == kNames[i]) field(usage, i) = rows.count(0, 1);
    }
  }
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    BULKHEAD_TRY(set,
                 transaction.run("UPDATE meta SET value = $2 WHERE name = $1", kNames[i], field(usage, i)));
  }
  return usage;
}

}  // namespace bulkhead::storage
