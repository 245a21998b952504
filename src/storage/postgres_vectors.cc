// PostgresStore: search in the database, with pgvector.
//
// search_vectors holds each chunk's vectors once more, rotated (storage/vector_rotation.h). It is derived:
// written and removed in the transactions that write and remove the sealed vectors, and made from those when
// search_state does not say that it is theirs.
#include <algorithm>
#include <charconv>

#include "storage/chunk_record.h"
#include "storage/postgres_store.h"
#include "storage/record_json.h"
#include "storage/store_common.h"
#include "storage/vector_rotation.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kRowsAtOnce = 128;
constexpr std::size_t kHitsMax = 1'000;
constexpr std::size_t kDimensionsMax = 2'000;  // of pgvector's HNSW index
constexpr int kFilesAtOnce = 16;

// As pgvector reads it; the shortest text that gives the same number again.
std::string text_of(const std::vector<float>& vector) {
  std::string out = "[";
  char digits[32];
  for (float each : vector) {
    const auto written = std::to_chars(digits, digits + sizeof digits, each);
    if (out.size() > 1) out += ',';
    out.append(digits, written.ptr);
  }
  return out += ']';
}

VectorRotation rotation_of(const tenancy::TenantScope& scope, const base::EmbeddingSpace& space,
                           std::size_t dimensions) {
  return VectorRotation(scope.key(crypto::Purpose::BlindIndex), space, dimensions);
}

constexpr Sql kVersionLocked = "SELECT value FROM meta WHERE name = 'vectors_version' FOR UPDATE";
constexpr Sql kStateIs = "UPDATE search_state SET value = $1 WHERE name = 'vectors_version'";

// With row-level security whose rows there are is the policy's to say. That a statement names the tenant as
// well, in its text, only spares the planner and the table of locks all other tenants' partitions.
Ddl own_rows(const PostgresPlace& place, Sql before) {
  Ddl out;
  out.sql(before);
  if (place.proof.empty()) {
    out.sql(" WHERE true");
  } else {
    out.sql(" WHERE tenant = ").literal(place.name);
  }
  return out;
}

base::Result<PostgresRows> files_lacking(PostgresTransaction& transaction, const PostgresPlace& place) {
  Ddl ask;
  ask.sql("SELECT f.id FROM files f WHERE f.batch <> 0 AND NOT EXISTS (");
  ask.add(own_rows(place, "SELECT FROM search_vectors s"));
  ask.sql(" AND s.batch = f.batch) ORDER BY f.no LIMIT $1");
  return transaction.connection().run_once(ask, kFilesAtOnce);
}

// The rows of the chunks that may be seen, nearest first. The expression of `approximate` is the index's; the
// other one is no index's, so that every row is compared.
Ddl nearest(const PostgresPlace& place, std::size_t dimensions, const base::EmbeddingSpace& space,
            bool approximate) {
  const auto distance = [&](Ddl& out) {
    if (!approximate) {
      out.sql("point <#> $1::text::vector");
      return;
    }
    out.sql("(point::vector(").number(dimensions).sql(")) <#> $1::text::vector(").number(dimensions).sql(")");
  };
  Ddl out;
  out.sql("SELECT key, (-(");
  distance(out);
  out.sql("))::float8").add(own_rows(place, " FROM search_vectors"));
  out.sql(" AND space = ").bytes(space.bytes).sql(" AND dimensions = ").number(dimensions);
  out.sql(" AND batch = ANY($2) ORDER BY ");
  distance(out);
  return out.sql(" LIMIT $3");
}

}  // namespace

base::Result<void> PostgresStore::prepare_vectors(const std::vector<ChunkVectors>& vectors) {
  if (!searches_vectors() || vectors.empty()) return {};
  for (const SpaceVector& each : vectors[0]) {
    const std::size_t dimensions = each.vector.size();
    if (dimensions == 0 || dimensions > kDimensionsMax) {
      return misconfigured("store \"" + pool_.options().name + "\": vectors of " +
                           std::to_string(dimensions) + " dimensions; pgvector's index takes 1 to " +
                           std::to_string(kDimensionsMax) +
                           ". Use vectors = \"sealed\" or another embedding model");
    }
    const std::pair key(each.space, dimensions);
    {
      std::scoped_lock lock(vectors_mutex_);
      if (indexed_.contains(key)) continue;
    }
    BULKHEAD_CHECK_OK(indexer_(each.space, dimensions));
    std::scoped_lock lock(vectors_mutex_);
    indexed_.insert(key);
  }
  return {};
}

base::Result<void> PostgresStore::drop_vectors(PostgresTransaction& transaction, std::int64_t batch) {
  BULKHEAD_TRY(gone, transaction.connection().run_once(
                         own_rows(*place_, "DELETE FROM search_vectors").sql(" AND batch = $1"), batch));
  return {};
}

base::Result<void> PostgresStore::write_vectors(PostgresTransaction& transaction, const Scope& scope,
                                                const std::vector<ChunkKey>& keys,
                                                const std::vector<ChunkVectors>& vectors) {
  if (vectors.empty()) return {};
  for (std::size_t which = 0; which < vectors[0].size(); ++which) {
    const base::EmbeddingSpace& space = vectors[0][which].space;
    const std::size_t dimensions = vectors[0][which].vector.size();
    const VectorRotation rotation = rotation_of(scope, space, dimensions);
    for (std::size_t first = 0; first < vectors.size(); first += kRowsAtOnce) {
      std::vector<std::int64_t> some;
      std::vector<std::string> points;
      for (std::size_t i = first; i < std::min(vectors.size(), first + kRowsAtOnce); ++i) {
        some.push_back(keys[i]);
        points.push_back(text_of(rotation.apply(vectors[i][which].vector)));
      }
      BULKHEAD_TRY(rows, transaction.run("INSERT INTO search_vectors (key, batch, space, dimensions, point) "
                                         "SELECT n.key, n.key >> 20, $2, $3, n.point::vector FROM "
                                         "unnest($1::bigint[], $4::text[]) AS n(key, point)",
                                         some, base::ByteView(space.bytes),
                                         static_cast<std::uint64_t>(dimensions), points));
      static_assert(kOrdinalBits == 20);
    }
  }
  return {};
}

base::Result<bool> PostgresStore::lacks_vectors(PostgresTransaction& transaction) {
  BULKHEAD_TRY(version, transaction.run(kVersionLocked));
  if (version.empty()) return damaged("the versions");
  BULKHEAD_TRY(state, transaction.run("SELECT value FROM search_state WHERE name = 'vectors_version'"));
  if (state.empty()) {
    BULKHEAD_TRY(made,
                 transaction.run("INSERT INTO search_state (name, value) VALUES ('vectors_version', 0)"));
  }
  // Sealed vectors were written without their rotated ones, by a configuration that did not ask for them.
  if (state.empty() || (state.integer(0, 0) != 0 && state.integer(0, 0) != version.integer(0, 0))) {
    BULKHEAD_CHECK_OK(transaction.connection().execute(own_rows(*place_, "DELETE FROM search_vectors")));
  }
  BULKHEAD_TRY(lacking, files_lacking(transaction, *place_));
  BULKHEAD_TRY(noted, transaction.run(kStateIs, lacking.empty() ? version.integer(0, 0) : 0));
  return !lacking.empty();
}

base::Result<TenantStore::Reseal> PostgresStore::fill_some(const Scope& scope) {
  std::vector<std::string> ids;
  {
    BULKHEAD_TRY(use, writing(scope));
    BULKHEAD_TRY(version, use->run(kVersionLocked));
    if (version.empty()) return damaged("the versions");
    BULKHEAD_TRY(lacking, files_lacking(*use, *place_));
    for (int i = 0; i < lacking.size(); ++i) ids.push_back(lacking.text(i, 0));
    if (ids.empty()) {
      BULKHEAD_TRY(noted, use->run(kStateIs, version.integer(0, 0)));
      BULKHEAD_CHECK_OK(use->commit());
      vectors_lacking_ = false;
      return Reseal::Done;
    }
  }
  for (const std::string& id : ids) {
    const auto file = base::FileId::parse(id);
    if (!file) return damaged("a file");
    auto read = file_chunks(scope, *file);
    if (!read && read.error().is(StorageError::NotFound)) continue;
    if (!read) return read.take_error();
    BULKHEAD_CHECK_OK(prepare_vectors(read->vectors));
    BULKHEAD_TRY(use, writing(scope));
    BULKHEAD_TRY(row, use->run("SELECT batch FROM files WHERE id = $1 FOR UPDATE", id));
    if (row.empty() || row.integer(0, 0) != read->batch) continue;  // written anew, with all it needs
    std::vector<ChunkKey> keys;
    for (const Chunk& chunk : read->chunks) keys.push_back(chunk_key(read->batch, chunk.ordinal));
    BULKHEAD_CHECK_OK(drop_vectors(*use, read->batch));
    BULKHEAD_CHECK_OK(write_vectors(*use, scope, keys, read->vectors));
    BULKHEAD_CHECK_OK(use->commit());
  }
  return Reseal::More;
}

base::Result<SpaceSeen> PostgresStore::look_at_space(PostgresTransaction& transaction,
                                                     const base::EmbeddingSpace& space) {
  Ddl ask = own_rows(*place_,
                     "SELECT count(*), coalesce(min(dimensions), 0), coalesce(max(dimensions), 0), "
                     "(SELECT value FROM meta WHERE name = 'chunks') FROM search_vectors");
  BULKHEAD_TRY(rows,
               transaction.connection().run_once(ask.sql(" AND space = $1"), base::ByteView(space.bytes)));
  if (rows.is_null(0, 3)) return damaged("the counts");
  if (rows.integer(0, 1) != rows.integer(0, 2))
    return damaged("vectors of one space, which differ in dimensions");
  SpaceSeen seen{.space = space};
  seen.chunks = rows.count(0, 3);
  seen.complete = rows.count(0, 0) == seen.chunks;
  seen.dimensions = rows.count(0, 1);
  return seen;
}

base::Result<TenantStore::VectorHits> PostgresStore::search_vectors(const Scope& scope,
                                                                    const base::EmbeddingSpace& space,
                                                                    const std::vector<float>& query,
                                                                    const std::vector<base::FileId>& files,
                                                                    std::size_t limit) {
  BULKHEAD_CHECK_OK(check(scope));
  if (!searches_vectors()) return TenantStore::search_vectors(scope, space, query, files, limit);
  // What was seen holds for the same version of the vectors in this snapshot, as long as no connection was
  // lost.
  const std::uint64_t published = vectors_version();
  BULKHEAD_TRY(use, reading(scope));
  BULKHEAD_TRY(now, use->run("SELECT value FROM meta WHERE name = 'vectors_version'"));
  if (now.empty()) return damaged("the versions");
  const std::pair version(published, now.integer(0, 0));
  std::optional<SpaceSeen> seen;
  {
    std::scoped_lock lock(vectors_mutex_);
    if (space_seen_ && space_seen_->version == version && space_seen_->space == space) seen = space_seen_;
  }
  if (!seen) {
    BULKHEAD_TRY(fresh, look_at_space(*use, space));
    // Never a search over a part: what is missing from it would be missed by nobody.
    if (!fresh.complete) return space_lacking();
    fresh.version = version;
    seen = fresh;
    std::scoped_lock lock(vectors_mutex_);
    space_seen_ = fresh;
  }
  VectorHits out{.dimensions = seen->dimensions};
  if (seen->dimensions == 0 || query.size() != seen->dimensions || files.empty() || limit == 0) return out;

  std::vector<std::string> ids;
  for (const base::FileId& file : files) ids.push_back(file.str());
  BULKHEAD_TRY(allowed, use->run("SELECT f.batch, b.chunks FROM files f JOIN batches b ON b.batch = f.batch "
                                 "WHERE f.id = ANY($1)",
                                 ids));
  std::vector<std::int64_t> batches;
  std::uint64_t chunks = 0;
  for (int i = 0; i < allowed.size(); ++i) {
    batches.push_back(allowed.integer(i, 0));
    chunks += allowed.count(i, 1);
  }
  const std::string point = text_of(rotation_of(scope, space, query.size()).apply(query));
  const std::uint64_t wanted = std::min({static_cast<std::uint64_t>(std::min(limit, kHitsMax)), chunks});
  const auto ask = [&](bool approximate) -> Result<void> {
    BULKHEAD_TRY(rows, use->connection().run_once(nearest(*place_, query.size(), space, approximate), point,
                                                  batches, wanted));
    out.hits.clear();
    for (int i = 0; i < rows.size(); ++i) {
      out.hits.push_back({.key = rows.integer(i, 0), .score = static_cast<float>(rows.real(i, 1))});
    }
    return {};
  };
  if (chunks > pool_.options().exact_search_max) {
    // A scan that found too few allowed rows goes on.
    BULKHEAD_CHECK_OK(use->connection().execute(
        "SET LOCAL hnsw.iterative_scan = strict_order; SET LOCAL hnsw.ef_search = 200; "
        "SET LOCAL hnsw.max_scan_tuples = 200000"));
    BULKHEAD_CHECK_OK(ask(true));
    if (out.hits.size() == wanted) return out;
  }
  BULKHEAD_CHECK_OK(ask(false));
  return out;
}

}  // namespace bulkhead::storage
