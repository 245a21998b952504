// SqliteStore: chunks, their vectors and the text index.
#include <algorithm>
#include <map>

#include "storage/chunk_record.h"
#include "storage/index_terms.h"
#include "storage/record_json.h"
#include "storage/search_words.h"
#include "storage/sqlite_data_keys.h"
#include "storage/sqlite_error.h"
#include "storage/sqlite_store.h"
#include "storage/store_common.h"
#include "storage/tenant_schema.h"
#include "storage/term_hits.h"

namespace bulkhead::storage {
namespace {

base::Result<void> insert_chunk(SqliteDatabase& database, const RecordSealer& sealer, std::int64_t batch,
                                const Chunk& chunk, const ChunkVectors& vectors) {
  const ChunkKey key = chunk_key(batch, chunk.ordinal);
  const auto generation = static_cast<std::uint64_t>(batch);
  base::Bytes packed = pack_chunk(chunk);
  const base::Bytes box =
      sealer.seal({RecordKind::ChunkText, chunk.file.str(), chunk.ordinal, generation}, packed);
  base::wipe(packed);
  BULKHEAD_CHECK_OK(database.prepare("INSERT INTO chunks (key, box) VALUES (?1, ?2)").bind(key, box).run());
  const base::Bytes vector_box = sealer.seal(
      {RecordKind::ChunkVector, chunk.file.str(), chunk.ordinal, generation}, pack_vectors(vectors));
  BULKHEAD_CHECK_OK(
      database.prepare("INSERT INTO chunk_vectors (key, box) VALUES (?1, ?2)").bind(key, vector_box).run());
  return database.prepare("INSERT INTO chunk_text (rowid, heading, body) VALUES (?1, ?2, ?3)")
      .bind(key, index_text(chunk.heading), index_text(chunk.text))
      .run();
}

}  // namespace

base::Result<void> SqliteStore::drop_batch(SqliteDatabase& database, std::int64_t batch) {
  const ChunkKey first = chunk_key(batch, 0);
  const ChunkKey last = chunk_key(batch, kChunksPerFileMax - 1);
  {
    Statement keys = database.prepare("SELECT key FROM chunks WHERE key BETWEEN ?1 AND ?2");
    keys.bind(first, last);
    while (true) {
      BULKHEAD_TRY(row, keys.step());
      if (!row) break;
      BULKHEAD_CHECK_OK(
          database.prepare("DELETE FROM chunk_text WHERE rowid = ?1").bind(keys.integer(0)).run());
    }
  }
  BULKHEAD_CHECK_OK(
      database.prepare("DELETE FROM chunks WHERE key BETWEEN ?1 AND ?2").bind(first, last).run());
  BULKHEAD_CHECK_OK(
      database.prepare("DELETE FROM chunk_vectors WHERE key BETWEEN ?1 AND ?2").bind(first, last).run());
  BULKHEAD_CHECK_OK(database.prepare("DELETE FROM batches WHERE batch = ?1").bind(batch).run());
  // A delete leaves a tombstone beside the words; only a merge of the whole index removes them.
  // (FTS5's secure-delete removes them one by one: measured thirty times slower.)
  return database.prepare("INSERT INTO chunk_text (chunk_text) VALUES ('optimize')").run();
}

base::Result<void> SqliteStore::replace_chunks(const Scope& scope, const base::FileId& file,
                                               const std::vector<Chunk>& chunks,
                                               const std::vector<ChunkVectors>& vectors) {
  BULKHEAD_CHECK_OK(check(scope));
  BULKHEAD_CHECK_OK(check_chunk_batch(file, chunks, vectors));
  BULKHEAD_TRY(use, begin_change(scope));
  std::int64_t no = 0;
  std::int64_t old_batch = 0;
  {
    Statement query = use->prepare("SELECT no, batch FROM files WHERE id = ?1");
    query.bind(file.str());
    BULKHEAD_TRY(row, query.step());
    if (!row) return not_found("file");
    no = query.integer(0);
    old_batch = query.integer(1);
  }
  if (old_batch != 0) BULKHEAD_CHECK_OK(drop_batch(*use, old_batch));
  std::int64_t batch = 0;
  if (!chunks.empty()) {
    {
      Statement insert =
          use->prepare("INSERT INTO batches (file_no, chunks) VALUES (?1, ?2) RETURNING batch");
      insert.bind(no, static_cast<std::uint64_t>(chunks.size()));
      BULKHEAD_TRY(row, insert.step());
      if (row) batch = insert.integer(0);
      BULKHEAD_CHECK_OK(insert.run());
    }
    BULKHEAD_TRY(sealer, sealer_of(*use, scope, subject_of(file)));
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      BULKHEAD_CHECK_OK(insert_chunk(*use, sealer, batch, chunks[i], vectors[i]));
    }
  }
  BULKHEAD_CHECK_OK(use->prepare("UPDATE files SET batch = ?2 WHERE no = ?1").bind(no, batch).run());
  BULKHEAD_TRY(versions, moved(*use, true));
  BULKHEAD_CHECK_OK(commit(scope, use));
  publish(versions);
  if (old_batch != 0) (void)use->checkpoint().ok();
  return {};
}

base::Result<void> SqliteStore::put_vectors(const Scope& scope, const base::FileId& file, std::int64_t batch,
                                            const std::vector<ChunkVectors>& vectors) {
  BULKHEAD_CHECK_OK(check(scope));
  BULKHEAD_CHECK_OK(check_vectors(vectors));
  BULKHEAD_TRY(use, begin_change(scope));
  std::vector<ChunkKey> keys;
  {
    Statement query = use->prepare("SELECT batch FROM files WHERE id = ?1");
    query.bind(file.str());
    BULKHEAD_TRY(row, query.step());
    if (!row) return not_found("file");
    if (batch == 0 || query.integer(0) != batch) return chunks_replaced();
    Statement rows = use->prepare("SELECT key FROM chunks WHERE key BETWEEN ?1 AND ?2 ORDER BY key");
    rows.bind(chunk_key(batch, 0), chunk_key(batch, kChunksPerFileMax - 1));
    while (true) {
      BULKHEAD_TRY(more, rows.step());
      if (!more) break;
      keys.push_back(rows.integer(0));
    }
  }
  if (keys.size() != vectors.size()) return chunks_replaced();
  BULKHEAD_TRY(sealer, sealer_of(*use, scope, subject_of(file)));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const base::Bytes box = sealer.seal(
        {RecordKind::ChunkVector, file.str(), ordinal_of(keys[i]), static_cast<std::uint64_t>(batch)},
        pack_vectors(vectors[i]));
    BULKHEAD_CHECK_OK(
        use->prepare("UPDATE chunk_vectors SET box = ?2 WHERE key = ?1").bind(keys[i], box).run());
  }
  BULKHEAD_TRY(versions, moved(*use, true));
  BULKHEAD_CHECK_OK(commit(scope, use));
  publish(versions);
  return {};
}

base::Result<bool> SqliteStore::has_chunks(const Scope& scope, const base::FileId& file) {
  BULKHEAD_TRY(use, reading(scope));
  Statement query = use->prepare("SELECT batch FROM files WHERE id = ?1");
  query.bind(file.str());
  BULKHEAD_TRY(row, query.step());
  if (!row) return not_found("file");
  return query.integer(0) != 0;
}

base::Result<TenantStore::FileChunks> SqliteStore::file_chunks(const Scope& scope, const base::FileId& file) {
  BULKHEAD_TRY(use, reading(scope));
  std::int64_t batch = 0;
  {
    Statement query = use->prepare("SELECT batch FROM files WHERE id = ?1");
    query.bind(file.str());
    BULKHEAD_TRY(row, query.step());
    if (!row) return not_found("file");
    batch = query.integer(0);
  }
  FileChunks found;
  if (batch == 0) return found;
  BULKHEAD_TRY(sealer, sealer_of(*use, scope, subject_of(file)));
  Statement rows = use->prepare(
      "SELECT c.key, c.box, v.box FROM chunks c JOIN chunk_vectors v ON v.key = c.key "
      "WHERE c.key BETWEEN ?1 AND ?2 ORDER BY c.key");
  rows.bind(chunk_key(batch, 0), chunk_key(batch, kChunksPerFileMax - 1));
  while (true) {
    BULKHEAD_TRY(row, rows.step());
    if (!row) return found;
    BULKHEAD_CHECK_OK(open_chunk(sealer, file, rows.integer(0), rows.blob(1), rows.blob(2), found));
  }
}

base::Result<std::vector<Chunk>> SqliteStore::get_chunks(const Scope& scope,
                                                         const std::vector<ChunkKey>& keys) {
  BULKHEAD_TRY(use, reading(scope));
  std::map<base::FileId, RecordSealer> sealers;
  std::vector<Chunk> chunks;
  chunks.reserve(keys.size());
  for (ChunkKey key : keys) {
    Statement query = use->prepare(
        "SELECT f.id, c.box FROM chunks c JOIN batches b ON b.batch = ?2 "
        "JOIN files f ON f.no = b.file_no WHERE c.key = ?1");
    query.bind(key, batch_of(key));
    BULKHEAD_TRY(row, query.step());
    if (!row) return not_found("chunk");
    auto file = base::FileId::parse(query.text(0));
    if (!file) return damaged("a file");
    auto sealer = sealers.find(*file);
    if (sealer == sealers.end()) {
      BULKHEAD_TRY(made, sealer_of(*use, scope, subject_of(*file)));
      sealer = sealers.emplace(*file, std::move(made)).first;
    }
    BULKHEAD_TRY(packed, sealer->second.open({RecordKind::ChunkText, file->str(), ordinal_of(key),
                                              static_cast<std::uint64_t>(batch_of(key))},
                                             query.blob(1)));
    auto chunk = unpack_chunk(packed, std::move(*file), ordinal_of(key));
    base::wipe(packed);
    if (!chunk) return chunk.take_error();
    chunks.push_back(std::move(*chunk));
  }
  return chunks;
}

base::Result<void> SqliteStore::for_each_vector(const Scope& scope, const VectorVisitor& visit) {
  BULKHEAD_TRY(use, reading(scope));
  Statement batches =
      use->prepare("SELECT b.batch, f.id FROM batches b JOIN files f ON f.no = b.file_no ORDER BY b.batch");
  while (true) {
    BULKHEAD_TRY(more, batches.step());
    if (!more) return {};
    const std::int64_t batch = batches.integer(0);
    const auto file = base::FileId::parse(batches.text(1));
    if (!file) return damaged("a file");
    BULKHEAD_TRY(sealer, sealer_of(*use, scope, subject_of(*file)));
    Statement rows =
        use->prepare("SELECT key, box FROM chunk_vectors WHERE key BETWEEN ?1 AND ?2 ORDER BY key");
    rows.bind(chunk_key(batch, 0), chunk_key(batch, kChunksPerFileMax - 1));
    while (true) {
      BULKHEAD_TRY(row, rows.step());
      if (!row) break;
      const ChunkKey key = rows.integer(0);
      BULKHEAD_TRY(bytes, sealer.open({RecordKind::ChunkVector, file->str(), ordinal_of(key),
                                       static_cast<std::uint64_t>(batch)},
                                      rows.blob(1)));
      BULKHEAD_TRY(vectors, unpack_vectors(bytes));
      visit(key, *file, vectors);
    }
  }
}

base::Result<std::vector<LexicalHit>> SqliteStore::search_text(const Scope& scope,
                                                               const std::vector<std::string>& words,
                                                               const std::vector<base::FileId>& files,
                                                               std::size_t limit) {
  BULKHEAD_TRY(use, reading(scope));
  std::vector<LexicalHit> hits;
  const std::string match = match_any_of(words);
  if (match.empty() || limit == 0) return hits;

  std::vector<std::int64_t> batches;
  std::uint64_t chunks = 0;  // that may be seen
  batches.reserve(files.size());
  for (const base::FileId& file : files) {
    Statement query = use->prepare(
        "SELECT b.batch, b.chunks FROM files f JOIN batches b ON b.batch = f.batch WHERE f.id = ?1");
    query.bind(file.str());
    BULKHEAD_TRY(row, query.step());
    if (!row) continue;
    batches.push_back(query.integer(0));
    chunks += query.count(1);
  }
  if (batches.empty()) return hits;
  std::sort(batches.begin(), batches.end());

  // The filter stands before the ranking, which knows of no other rows (term_hits.h). The shift is
  // kOrdinalBits.
  static_assert(kOrdinalBits == 20);
  Statement query = use->prepare(
      "SELECT rowid, term_hits(chunk_text) FROM chunk_text WHERE chunk_text MATCH ?1 "
      "AND in_set(?2, rowid >> 20)");
  query.bind(match, &batches);
  TermRanking ranking;
  while (true) {
    BULKHEAD_TRY(row, query.step());
    if (!row) return ranking.best(chunks, std::min<std::size_t>(limit, 1'000));
    if (!ranking.add(query.integer(0), query.blob(1))) return damaged("the text index");
  }
}

}  // namespace bulkhead::storage
