// PostgresStore: chunks, their vectors and the blind text index.
//
// A word is kept as a keyed hash of its stem (WordTokenizer, tag()), so words are found and ranked
// without standing anywhere. Ranking is BM25 with FTS5's constants, over all chunks of the tenant.
#include <algorithm>
#include <map>

#include "storage/chunk_record.h"
#include "storage/index_terms.h"
#include "storage/postgres_data_keys.h"
#include "storage/postgres_store.h"
#include "storage/record_json.h"
#include "storage/search_words.h"
#include "storage/store_common.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kChunksAtOnce = 128;
constexpr int kVectorsAtOnce = 2'000;
constexpr std::size_t kHitsMax = 1'000;

std::uint64_t total(const std::map<std::string, std::uint32_t>& counts) {
  std::uint64_t sum = 0;
  for (const auto& [word, count] : counts) sum += count;
  return sum;
}

// Columns 3 and 4: the file's key_version and key_box.
base::Result<const RecordSealer*> once_a_file(std::map<base::FileId, RecordSealer>& sealers,
                                              const PostgresRows& rows, int row,
                                              const tenancy::TenantScope& scope, const base::FileId& file) {
  auto found = sealers.find(file);
  if (found == sealers.end()) {
    BULKHEAD_TRY(made, sealer_of(rows, row, 3, scope, subject_of(file)));
    found = sealers.emplace(file, std::move(made)).first;
  }
  return &found->second;
}

}  // namespace

base::Result<void> PostgresStore::drop_batch(PostgresTransaction& transaction, std::int64_t batch) {
  const ChunkKey first = chunk_key(batch, 0);
  const ChunkKey last = chunk_key(batch, kChunksPerFileMax - 1);
  BULKHEAD_TRY(words, transaction.run("DELETE FROM words WHERE key BETWEEN $1 AND $2", first, last));
  BULKHEAD_TRY(chunks, transaction.run("DELETE FROM chunks WHERE key BETWEEN $1 AND $2", first, last));
  BULKHEAD_TRY(vectors,
               transaction.run("DELETE FROM chunk_vectors WHERE key BETWEEN $1 AND $2", first, last));
  if (searches_vectors()) BULKHEAD_CHECK_OK(drop_vectors(transaction, batch));
  BULKHEAD_TRY(gone, transaction.run("DELETE FROM batches WHERE batch = $1 RETURNING chunks, words", batch));
  if (gone.empty()) return {};
  return count_batch(transaction, -gone.integer(0, 0), -gone.integer(0, 1));
}

base::Result<void> PostgresStore::replace_chunks(const Scope& scope, const base::FileId& file,
                                                 const std::vector<Chunk>& chunks,
                                                 const std::vector<ChunkVectors>& vectors) {
  BULKHEAD_CHECK_OK(check(scope));
  BULKHEAD_CHECK_OK(check_chunk_batch(file, chunks, vectors));
  // Hashing is the longest part of it and needs no connection.
  std::vector<WordCounts> words(chunks.size());
  std::uint64_t words_total = 0;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    BULKHEAD_CHECK_OK(words_.count(index_text(chunks[i].heading), words[i]));
    BULKHEAD_CHECK_OK(words_.count(index_text(chunks[i].text), words[i]));
    words_total += total(words[i]);
  }
  const BlindIndex index(scope);
  BULKHEAD_CHECK_OK(prepare_vectors(vectors));

  BULKHEAD_TRY(use, writing(scope));
  BULKHEAD_TRY(row, use->run("SELECT no, batch, key_version, key_box FROM files WHERE id = $1 FOR UPDATE",
                             file.str()));
  if (row.empty()) return not_found("file");
  const std::int64_t no = row.integer(0, 0);
  if (row.integer(0, 1) != 0) BULKHEAD_CHECK_OK(drop_batch(*use, row.integer(0, 1)));
  std::int64_t batch = 0;
  if (!chunks.empty()) {
    BULKHEAD_TRY(
        made, use->run("INSERT INTO batches (file_no, chunks, words) VALUES ($1, $2, $3) RETURNING batch", no,
                       static_cast<std::uint64_t>(chunks.size()), words_total));
    batch = made.integer(0, 0);
    BULKHEAD_CHECK_OK(
        count_batch(*use, static_cast<std::int64_t>(chunks.size()), static_cast<std::int64_t>(words_total)));
  }
  BULKHEAD_TRY(sealer, sealer_of(row, 0, 2, scope, subject_of(file)));
  const auto generation = static_cast<std::uint64_t>(batch);
  for (std::size_t first = 0; first < chunks.size(); first += kChunksAtOnce) {
    std::vector<std::int64_t> keys, lengths, word_keys, word_counts;
    std::vector<base::Bytes> texts, points, tags;
    for (std::size_t i = first; i < std::min(chunks.size(), first + kChunksAtOnce); ++i) {
      const Chunk& chunk = chunks[i];
      const ChunkKey key = chunk_key(batch, chunk.ordinal);
      base::Bytes packed = pack_chunk(chunk);
      keys.push_back(key);
      lengths.push_back(static_cast<std::int64_t>(total(words[i])));
      texts.push_back(sealer.seal({RecordKind::ChunkText, file.str(), chunk.ordinal, generation}, packed));
      points.push_back(sealer.seal({RecordKind::ChunkVector, file.str(), chunk.ordinal, generation},
                                   pack_vectors(vectors[i])));
      base::wipe(packed);
      for (const auto& [word, count] : words[i]) {
        tags.push_back(index.tag(word));
        word_keys.push_back(key);
        word_counts.push_back(count);
      }
    }
    BULKHEAD_TRY(text_rows, use->run("INSERT INTO chunks (key, words, box) "
                                     "SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[])",
                                     keys, lengths, texts));
    BULKHEAD_TRY(vector_rows, use->run("INSERT INTO chunk_vectors (key, box) "
                                       "SELECT * FROM unnest($1::bigint[], $2::bytea[])",
                                       keys, points));
    BULKHEAD_TRY(word_rows, use->run("INSERT INTO words (word, key, count) "
                                     "SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[])",
                                     tags, word_keys, word_counts));
  }
  if (searches_vectors()) {
    std::vector<ChunkKey> keys;
    for (const Chunk& chunk : chunks) keys.push_back(chunk_key(batch, chunk.ordinal));
    BULKHEAD_CHECK_OK(write_vectors(*use, scope, keys, vectors));
  }
  BULKHEAD_TRY(updated, use->run("UPDATE files SET batch = $2 WHERE no = $1", no, batch));
  return commit_moved(scope, use, true);
}

base::Result<void> PostgresStore::put_vectors(const Scope& scope, const base::FileId& file,
                                              std::int64_t batch, const std::vector<ChunkVectors>& vectors) {
  BULKHEAD_CHECK_OK(check(scope));
  BULKHEAD_CHECK_OK(check_vectors(vectors));
  BULKHEAD_CHECK_OK(prepare_vectors(vectors));
  BULKHEAD_TRY(use, writing(scope));
  BULKHEAD_TRY(
      row, use->run("SELECT batch, key_version, key_box FROM files WHERE id = $1 FOR UPDATE", file.str()));
  if (row.empty()) return not_found("file");
  if (batch == 0 || row.integer(0, 0) != batch) return chunks_replaced();
  BULKHEAD_TRY(found, use->run("SELECT key FROM chunks WHERE key BETWEEN $1 AND $2 ORDER BY key",
                               chunk_key(batch, 0), chunk_key(batch, kChunksPerFileMax - 1)));
  if (found.size() < 0 || static_cast<std::size_t>(found.size()) != vectors.size()) return chunks_replaced();
  BULKHEAD_TRY(sealer, sealer_of(row, 0, 1, scope, subject_of(file)));
  for (std::size_t first = 0; first < vectors.size(); first += kChunksAtOnce) {
    std::vector<std::int64_t> keys;
    std::vector<base::Bytes> points;
    for (std::size_t i = first; i < std::min(vectors.size(), first + kChunksAtOnce); ++i) {
      keys.push_back(found.integer(static_cast<int>(i), 0));
      points.push_back(sealer.seal(
          {RecordKind::ChunkVector, file.str(), ordinal_of(keys.back()), static_cast<std::uint64_t>(batch)},
          pack_vectors(vectors[i])));
    }
    BULKHEAD_TRY(updated, use->run("UPDATE chunk_vectors SET box = n.box FROM "
                                   "unnest($1::bigint[], $2::bytea[]) AS n(key, box) "
                                   "WHERE chunk_vectors.key = n.key",
                                   keys, points));
  }
  if (searches_vectors()) {
    std::vector<ChunkKey> keys;
    for (int i = 0; i < found.size(); ++i) keys.push_back(found.integer(i, 0));
    BULKHEAD_CHECK_OK(drop_vectors(*use, batch));
    BULKHEAD_CHECK_OK(write_vectors(*use, scope, keys, vectors));
  }
  return commit_moved(scope, use, true);
}

base::Result<bool> PostgresStore::has_chunks(const Scope& scope, const base::FileId& file) {
  BULKHEAD_TRY(use, reading(scope));
  BULKHEAD_TRY(rows, use->run("SELECT batch FROM files WHERE id = $1", file.str()));
  if (rows.empty()) return not_found("file");
  return rows.integer(0, 0) != 0;
}

base::Result<TenantStore::FileChunks> PostgresStore::file_chunks(const Scope& scope,
                                                                 const base::FileId& file) {
  BULKHEAD_TRY(use, reading(scope));
  BULKHEAD_TRY(row, use->run("SELECT batch, key_version, key_box FROM files WHERE id = $1", file.str()));
  if (row.empty()) return not_found("file");
  const std::int64_t batch = row.integer(0, 0);
  FileChunks found;
  if (batch == 0) return found;
  BULKHEAD_TRY(sealer, sealer_of(row, 0, 1, scope, subject_of(file)));
  std::int64_t after = chunk_key(batch, 0) - 1;
  while (true) {
    BULKHEAD_TRY(rows, use->run("SELECT c.key, c.box, v.box FROM chunks c JOIN chunk_vectors v "
                                "ON v.key = c.key WHERE c.key > $1 AND c.key <= $2 ORDER BY c.key LIMIT $3",
                                after, chunk_key(batch, kChunksPerFileMax - 1), kVectorsAtOnce));
    for (int i = 0; i < rows.size(); ++i) {
      after = rows.integer(i, 0);
      BULKHEAD_CHECK_OK(open_chunk(sealer, file, after, rows.blob(i, 1), rows.blob(i, 2), found));
    }
    if (rows.size() < kVectorsAtOnce) return found;
  }
}

base::Result<std::vector<Chunk>> PostgresStore::get_chunks(const Scope& scope,
                                                           const std::vector<ChunkKey>& keys) {
  BULKHEAD_TRY(use, reading(scope));
  BULKHEAD_TRY(rows, use->run("SELECT c.key, f.id, c.box, f.key_version, f.key_box FROM chunks c JOIN "
                              "batches b ON b.batch = c.key >> 20 "
                              "JOIN files f ON f.no = b.file_no WHERE c.key = ANY($1)",
                              keys));
  static_assert(kOrdinalBits == 20);
  std::map<base::FileId, RecordSealer> sealers;
  std::map<ChunkKey, Chunk> found;
  for (int i = 0; i < rows.size(); ++i) {
    const ChunkKey key = rows.integer(i, 0);
    auto file = base::FileId::parse(rows.text(i, 1));
    if (!file) return damaged("a file");
    BULKHEAD_TRY(sealer, once_a_file(sealers, rows, i, scope, *file));
    BULKHEAD_TRY(packed, sealer->open({RecordKind::ChunkText, file->str(), ordinal_of(key),
                                       static_cast<std::uint64_t>(batch_of(key))},
                                      rows.blob(i, 2)));
    auto chunk = unpack_chunk(packed, std::move(*file), ordinal_of(key));
    base::wipe(packed);
    if (!chunk) return chunk.take_error();
    found.emplace(key, std::move(*chunk));
  }
  std::vector<Chunk> chunks;
  chunks.reserve(keys.size());
  for (ChunkKey key : keys) {
    const auto chunk = found.find(key);
    if (chunk == found.end()) return not_found("chunk");
    chunks.push_back(chunk->second);
  }
  return chunks;
}

base::Result<void> PostgresStore::for_each_vector(const Scope& scope, const VectorVisitor& visit) {
  BULKHEAD_TRY(use, reading(scope));
  std::map<base::FileId, RecordSealer> sealers;  // one: rows come a file at a time
  std::int64_t after = -1;
  while (true) {
    BULKHEAD_TRY(rows, use->run("SELECT v.key, f.id, v.box, f.key_version, f.key_box FROM chunk_vectors v "
                                "JOIN batches b ON b.batch = v.key >> 20 JOIN files f ON f.no = b.file_no "
                                "WHERE v.key > $1 ORDER BY v.key LIMIT $2",
                                after, kVectorsAtOnce));
    for (int i = 0; i < rows.size(); ++i) {
      after = rows.integer(i, 0);
      const auto file = base::FileId::parse(rows.text(i, 1));
      if (!file) return damaged("a file");
      if (!sealers.contains(*file)) sealers.clear();
      BULKHEAD_TRY(sealer, once_a_file(sealers, rows, i, scope, *file));
      BULKHEAD_TRY(bytes, sealer->open({RecordKind::ChunkVector, file->str(), ordinal_of(after),
                                        static_cast<std::uint64_t>(batch_of(after))},
                                       rows.blob(i, 2)));
      BULKHEAD_TRY(vectors, unpack_vectors(bytes));
      visit(after, *file, vectors);
    }
    if (rows.size() < kVectorsAtOnce) return {};
  }
}

base::Result<std::vector<LexicalHit>> PostgresStore::search_text(const Scope& scope,
                                                                 const std::vector<std::string>& words,
                                                                 const std::vector<base::FileId>& files,
                                                                 std::size_t limit) {
  BULKHEAD_CHECK_OK(check(scope));
  WordCounts wanted;
  for (const std::string& word : search_words(words)) BULKHEAD_CHECK_OK(words_.count(word, wanted));
  std::vector<LexicalHit> hits;
  if (wanted.empty() || files.empty() || limit == 0) return hits;
  const BlindIndex index(scope);
  std::vector<base::Bytes> tags;
  for (const auto& [word, count] : wanted) tags.push_back(index.tag(word));
  std::vector<std::string> ids;
  for (const base::FileId& file : files) ids.push_back(file.str());

  BULKHEAD_TRY(use, reading(scope));
  BULKHEAD_TRY(rows, use->run(R"sql(
WITH allowed AS MATERIALIZED (SELECT b.batch, b.chunks FROM files f JOIN batches b ON b.batch = f.batch
      WHERE f.id = ANY($2)),
  total AS MATERIALIZED (SELECT greatest(sum(chunks), 1)::float8 AS chunks FROM allowed),
  found AS MATERIALIZED (SELECT w.word, w.key, w.count, c.words FROM words w JOIN chunks c ON c.key = w.key
      WHERE w.word = ANY($1) AND w.key >> 20 IN (SELECT batch FROM allowed)),
  mean AS MATERIALIZED (SELECT greatest(avg(words), 1)::float8 AS words FROM (SELECT DISTINCT key, words FROM found) d),
  rare AS MATERIALIZED (SELECT f.word, ln(1 + (greatest(t.chunks, count(*)) - count(*) + 0.5) / (count(*) + 0.5))
      AS weight FROM found f CROSS JOIN total t GROUP BY f.word, t.chunks)
SELECT f.key, sum(r.weight * f.count * 2.2 / (f.count + 1.2 * (0.25 + 0.75 * f.words / m.words)))::float8 AS score
FROM found f JOIN rare r ON r.word = f.word CROSS JOIN mean m
GROUP BY f.key ORDER BY score DESC, f.key LIMIT $3)sql",
                              tags, ids, static_cast<std::uint64_t>(std::min(limit, kHitsMax))));
  for (int i = 0; i < rows.size(); ++i) hits.push_back({.key = rows.integer(i, 0), .score = rows.real(i, 1)});
  return hits;
}

}  // namespace bulkhead::storage
