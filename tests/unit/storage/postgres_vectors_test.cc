// Search in the database: what it finds, whose rows it sees, what is refused. Each wall has a control in
// which it is down.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <set>

#include "postgres_server.h"
#include "raw_database.h"
#include "storage/postgres_extension.h"

namespace bulkhead::storage {
namespace {

using Vector = std::vector<float>;
constexpr std::size_t kDimensions = 64;

Vector unit(std::mt19937& random) {
  std::normal_distribution<float> normal;
  Vector out(kDimensions);
  for (float& each : out) each = normal(random);
  const float length = std::sqrt(std::inner_product(out.begin(), out.end(), out.begin(), 0.0F));
  for (float& each : out) each /= length;
  return out;
}

std::vector<ChunkVectors> random_vectors(std::mt19937& random, std::size_t count) {
  std::vector<ChunkVectors> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back({{sample_space(1), unit(random)}});
  return out;
}

class PostgresVectorSearch : public ::testing::TestWithParam<PostgresLayout> {
 protected:
  void SetUp() override {
    for (const char* name : {"hospital", "lawfirm"}) pg.add_tenant(name);
  }
  bool shared() const { return GetParam() == PostgresLayout::RowLevelSecurity; }
  void put(const std::string& tenant, const std::string& file, const std::vector<ChunkVectors>& vectors) {
    const auto scope = pg.scope(tenant);
    const auto store = pg.store(tenant);
    ASSERT_OK(store->put_file(scope, sample_file(file), "content"));
    ASSERT_OK(store->replace_chunks(scope, file_id(file), sample_chunks(file, vectors.size()), vectors));
  }
  base::Result<TenantStore::VectorHits> search(const std::string& tenant, const Vector& query,
                                               const std::vector<base::FileId>& files, std::size_t limit = 10,
                                               std::uint8_t space = 1) {
    return pg.store(tenant)->search_vectors(pg.scope(tenant), sample_space(space), query, files, limit);
  }
  std::string count(const std::string& tenant) {
    return pg.superuser(tenant)->must_run("SELECT count(*) FROM search_vectors").at(0);
  }
  std::string table(std::string_view tenant, const std::string& name = "search_vectors") {
    return "\"" + pg.place(tenant)->login->search_path + "\".\"" + name + "\"";
  }
  // A gateway that starts with these options.
  base::Result<std::shared_ptr<OpenStore>> started(const PostgresOptions& options) {
    keep.push_back(must(PostgresBackend::create(options, *pg.platform.platform, pg.platform.clock)));
    BULKHEAD_CHECK_OK(keep.back()->check());
    return keep.back()->open(pg.scope("hospital"));
  }
  void refused(const PostgresOptions& options, const std::string& said) {
    const auto store = started(options);
    EXPECT_FAILS(StorageError::Misconfigured, store);
    if (!store) EXPECT_NE(store.error().detail().find(said), std::string::npos) << store.error().describe();
  }
  PostgresPlatform pg{GetParam(), PostgresVectors::Pgvector};
  std::vector<std::unique_ptr<PostgresBackend>> keep;
  std::mt19937 random{7};
};

TEST_P(PostgresVectorSearch, FindsTheNearestOfTheAllowedFilesByTheVectorsThemselves) {
  const auto a = random_vectors(random, 40), b = random_vectors(random, 40);
  put("hospital", "f1", a);
  put("hospital", "f2", b);
  const auto keys = keys_of(*pg.store("hospital"), pg.scope("hospital"), file_id("f1"));
  for (int i = 0; i < 10; ++i) {
    const Vector query = unit(random);
    const auto found = search("hospital", query, {file_id("f1")}, 5);
    ASSERT_OK(found);
    EXPECT_EQ(found->dimensions, kDimensions);
    std::vector<std::pair<double, ChunkKey>> right;
    for (std::size_t n = 0; n < a.size(); ++n) {
      const Vector& vector = a[n][0].vector;
      right.emplace_back(-std::inner_product(vector.begin(), vector.end(), query.begin(), 0.0), keys.at(n));
    }
    std::sort(right.begin(), right.end());
    ASSERT_EQ(found->hits.size(), 5u);
    for (std::size_t n = 0; n < 5; ++n) {
      EXPECT_EQ(found->hits[n].key, right[n].second);
      EXPECT_NEAR(found->hits[n].score, -right[n].first, 1e-5);
    }
  }
  EXPECT_TRUE(search("hospital", unit(random), {})->hits.empty());
  EXPECT_EQ(search("hospital", unit(random), {file_id("f1"), file_id("f2")}, 100)->hits.size(), 80u);
}

TEST_P(PostgresVectorSearch, RecallOfTheIndexWithAndWithoutAFilter) {
  const auto all = random_vectors(random, 3000);
  for (std::size_t i = 0; i < 10; ++i) {
    put("hospital", "f" + std::to_string(i),
        {all.begin() + static_cast<std::ptrdiff_t>(i * 300),
         all.begin() + static_cast<std::ptrdiff_t>((i + 1) * 300)});
  }
  PostgresOptions approximate = pg.options();
  approximate.exact_search_max = 0;
  const auto by_index = must(started(approximate));
  std::vector<base::FileId> every;
  for (int i = 0; i < 10; ++i) every.push_back(file_id("f" + std::to_string(i)));
  for (const auto& files : {every, std::vector<base::FileId>{file_id("f3")}}) {
    std::size_t found = 0;
    for (int i = 0; i < 50; ++i) {
      const Vector query = unit(random);
      const auto exact = must(search("hospital", query, files)).hits;
      std::set<ChunkKey> right;
      for (const auto& hit : exact) right.insert(hit.key);
      const auto hits =
          must(by_index->search_vectors(pg.scope("hospital"), sample_space(1), query, files, 10)).hits;
      EXPECT_EQ(hits.size(), 10u);
      for (const auto& hit : hits) found += right.count(hit.key);
    }
    EXPECT_GE(static_cast<double>(found) / 500, 0.95) << files.size() << " files";
    RecordProperty("recall_of_files_" + std::to_string(files.size()), static_cast<int>(found * 1000 / 500));
  }
}

TEST_P(PostgresVectorSearch, WithoutATenantFilterOnlyOwnRowsAreSeen) {
  put("hospital", "f1", random_vectors(random, 3));
  put("lawfirm", "f1", random_vectors(random, 5));
  auto thief = pg.thief("hospital");
  const auto rows = [&] { return thief->run("SELECT count(*) FROM " + table("hospital")); };
  const auto neighbour = pg.place("lawfirm");
  if (!shared()) {
    EXPECT_EQ(rows().at(0), "3");
    if (GetParam() == PostgresLayout::Schema) {
      thief->run("SELECT count(*) FROM " + table("lawfirm"));
      EXPECT_EQ(thief->last_state, "42501");
    }
    return;
  }
  EXPECT_EQ(rows().at(0), "0") << "a stolen password alone";
  const auto as = [&](std::string_view tenant, std::string_view proof) {
    thief->must_run("SELECT set_config('bulkhead.tenant', '" + pg.place(tenant)->name +
                    "', false), set_config('bulkhead.proof', '" + std::string(proof) + "', false)");
  };
  as("lawfirm", pg.place("hospital")->proof.reveal_text());
  EXPECT_EQ(rows().at(0), "0") << "another tenant's proof";
  as("hospital", pg.place("hospital")->proof.reveal_text());
  EXPECT_EQ(rows().at(0), "3");
  // The partition by its own name, which the catalogue shows.
  thief->run("SELECT count(*) FROM " + table("lawfirm", "search_" + neighbour->name));
  EXPECT_EQ(thief->last_state, "42501");
  // Nor do the statistics, in which the server keeps samples of a column.
  auto root = pg.superuser("hospital");
  root->must_run("ANALYZE");
  const std::string samples =
      "SELECT count(*) FROM pg_stats WHERE tablename LIKE 'search_%' AND attname IN ('point', 'key', "
      "'batch')";
  EXPECT_EQ(thief->must_run(samples).at(0), "0");
  EXPECT_NE(root->must_run(samples).at(0), "0") << "control: they are there";
  // Control: without the policy everybody's rows are seen.
  root->must_run("ALTER TABLE search_vectors DISABLE ROW LEVEL SECURITY");
  EXPECT_EQ(rows().at(0), "8");
}

TEST_P(PostgresVectorSearch, AVectorStandsThereRotatedOnly) {
  Vector marked(kDimensions, 0.0F);
  marked[5] = 1;
  auto vectors = random_vectors(random, 1);
  vectors[0][0].vector = marked;
  put("hospital", "f1", vectors);
  put("lawfirm", "f1", vectors);
  const std::string plain = [&] {
    std::string text = "[";
    for (std::size_t i = 0; i < kDimensions; ++i) text += (i ? "," : "") + std::string(i == 5 ? "1" : "0");
    return text + "]";
  }();
  const auto stored = [&](const char* tenant) {
    return pg.superuser(tenant)
        ->must_run("SELECT point::text FROM search_vectors" +
                   (shared() ? " WHERE tenant = '" + pg.place(tenant)->name + "'" : std::string()))
        .at(0);
  };
  EXPECT_NE(stored("hospital"), plain);
  EXPECT_NE(stored("hospital"), stored("lawfirm")) << "each tenant's in its own way";
  EXPECT_EQ(bytes_of(PostgresServer::shared().log_file()).find(plain), std::string::npos);
  EXPECT_NEAR(must(search("hospital", marked, {file_id("f1")})).hits.at(0).score, 1, 1e-5) << "control";
}

TEST_P(PostgresVectorSearch, ATenantWhoseChunksLackTheSpaceIsNotSearched) {
  put("hospital", "f1", random_vectors(random, 3));
  EXPECT_OK(search("hospital", unit(random), {file_id("f1")}));
  EXPECT_FAILS(StorageError::Reindexing, search("hospital", unit(random), {file_id("f1")}, 10, 2));
  auto other = random_vectors(random, 2);
  for (auto& each : other) each[0].space = sample_space(2);
  put("hospital", "f2", other);
  EXPECT_FAILS(StorageError::Reindexing, search("hospital", unit(random), {file_id("f1")}, 10, 1));
  EXPECT_FAILS(StorageError::Reindexing, search("hospital", unit(random), {file_id("f2")}, 10, 2));
  const auto store = pg.store("hospital");
  const auto scope = pg.scope("hospital");
  const auto have = must(store->file_chunks(scope, file_id("f2")));
  ASSERT_OK(store->put_vectors(scope, file_id("f2"), have.batch, random_vectors(random, 2)));
  EXPECT_EQ(must(search("hospital", unit(random), {file_id("f2")})).hits.size(), 2u) << "control";
  // A question of other dimensions is told by them and finds nothing.
  const auto wrong = must(search("hospital", Vector(8, 0.1F), {file_id("f1")}));
  EXPECT_EQ(wrong.dimensions, kDimensions);
  EXPECT_TRUE(wrong.hits.empty());
}

TEST_P(PostgresVectorSearch, WhatWasSeenToBeCompleteIsAskedAgainWhenAnybodyWrote) {
  put("hospital", "f1", random_vectors(random, 3));
  put("hospital", "f2", random_vectors(random, 3));
  const auto scope = pg.scope("hospital");
  const auto reader = must(started(pg.options()));
  const auto ask = [&] {
    return reader->search_vectors(scope, sample_space(1), unit(random), {file_id("f1")}, 10);
  };
  EXPECT_EQ(must(ask()).hits.size(), 3u) << "control";
  // By another gateway, or between this one's look at its own version and its snapshot.
  auto other = random_vectors(random, 3);
  for (auto& each : other) each[0].space = sample_space(2);
  const auto store = pg.store("hospital");
  const auto batch = must(store->file_chunks(scope, file_id("f2"))).batch;
  ASSERT_OK(store->put_vectors(scope, file_id("f2"), batch, other));
  EXPECT_FAILS(StorageError::Reindexing, ask());
  ASSERT_OK(store->put_vectors(scope, file_id("f2"), batch, random_vectors(random, 3)));
  EXPECT_OK(ask()) << "control";
}

TEST_P(PostgresVectorSearch, TwoSpacesOfDifferentWidthsAreSideBySide) {
  auto vectors = random_vectors(random, 3);
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    Vector wide(2 * kDimensions, 0.0F);
    wide[i] = 1;
    vectors[i].push_back({sample_space(2), wide});
  }
  put("hospital", "f1", vectors);
  const auto keys = keys_of(*pg.store("hospital"), pg.scope("hospital"), file_id("f1"));
  PostgresOptions approximate = pg.options();
  approximate.exact_search_max = 0;
  const auto by_index = must(started(approximate));
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    for (const auto& each : vectors[i]) {
      const auto found =
          must(by_index->search_vectors(pg.scope("hospital"), each.space, each.vector, {file_id("f1")}, 1));
      EXPECT_EQ(found.dimensions, each.vector.size());
      ASSERT_EQ(found.hits.size(), 1u);
      EXPECT_EQ(found.hits[0].key, keys.at(i));
    }
  }
  // A question is of one space: the other one's width is none of its own.
  EXPECT_TRUE(must(search("hospital", unit(random), {file_id("f1")}, 10, 2)).hits.empty());
}

TEST_P(PostgresVectorSearch, RowsGoWithTheirFileAndTheirTenant) {
  put("hospital", "f1", random_vectors(random, 3));
  put("hospital", "f2", random_vectors(random, 4));
  put("lawfirm", "f1", random_vectors(random, 5));
  const int others = shared() ? 5 : 0;
  EXPECT_EQ(count("hospital"), std::to_string(7 + others));
  ASSERT_OK(pg.store("hospital")->delete_file(pg.scope("hospital"), file_id("f1")));
  EXPECT_EQ(count("hospital"), std::to_string(4 + others));
  const std::string partition = "search_" + pg.place("hospital")->name;
  const std::string left = "SELECT count(*) FROM pg_class WHERE relname = '" + partition + "'";
  if (shared()) EXPECT_EQ(pg.superuser("lawfirm")->must_run(left).at(0), "1") << "control";
  ASSERT_OK(pg.platform.directory->destroy(tenant_id("hospital"), *pg.platform.manager,
                                           crypto::SigningKey::generate()));
  EXPECT_EQ(count("lawfirm"), "5");
  EXPECT_EQ(pg.superuser("lawfirm")->must_run(left).at(0), "0");
}

TEST_P(PostgresVectorSearch, ATransactionThatDiedLeavesNeitherSealedNorRotatedOnes) {
  put("hospital", "f1", random_vectors(random, 3));
  {
    auto transaction = must(PostgresTransaction::begin(pg.backend->pool(), *pg.place("hospital"),
                                                       PostgresTransaction::Mode::Write));
    ASSERT_OK(transaction.run("DELETE FROM search_vectors"));
    PostgresServer::shared().superuser()->must_run(
        "SELECT pg_terminate_backend(" + std::to_string(transaction.connection().backend_pid()) + ", 5000)");
    EXPECT_FALSE(transaction.commit().ok());
  }
  EXPECT_EQ(must(search("hospital", unit(random), {file_id("f1")})).hits.size(), 3u);
}

TEST_P(PostgresVectorSearch, FollowsTheConfigurationBothWays) {
  const auto vectors = random_vectors(random, 3);
  put("hospital", "f1", vectors);
  const Vector query = unit(random);
  const auto before = must(search("hospital", query, {file_id("f1")})).hits;
  pg.platform.manager->close(tenant_id("hospital"));
  PostgresOptions sealed = pg.options();
  sealed.vectors = PostgresVectors::Sealed;
  const auto scope = pg.scope("hospital");
  {
    const auto store = must(started(sealed));
    EXPECT_FALSE(store->searches_vectors());
    EXPECT_EQ(pg.superuser("hospital")->must_run("SELECT to_regclass('search_vectors') IS NULL").at(0), "t");
    EXPECT_EQ(keys_of(*store, scope, file_id("f1")).size(), 3u) << "the sealed ones stay";
  }
  const auto store = must(started(pg.options()));
  EXPECT_TRUE(store->needs_upkeep());
  EXPECT_FAILS(StorageError::Reindexing,
               store->search_vectors(scope, sample_space(1), query, {file_id("f1")}, 10));
  for (int i = 0; i < 10 && store->needs_upkeep(); ++i) ASSERT_OK(store->reseal_some(scope));
  EXPECT_FALSE(store->needs_upkeep());
  const auto after = must(store->search_vectors(scope, sample_space(1), query, {file_id("f1")}, 10)).hits;
  ASSERT_EQ(after.size(), before.size());
  for (std::size_t i = 0; i < after.size(); ++i) EXPECT_EQ(after[i].key, before[i].key);
}

TEST_P(PostgresVectorSearch, WritesThatTheTableDoesNotKnowOfAreMadeUpFor) {
  put("hospital", "f1", random_vectors(random, 3));
  pg.platform.manager->close(tenant_id("hospital"));
  pg.superuser("hospital")
      ->must_run(
          "UPDATE meta SET value = value + 1 WHERE name = 'vectors_version'");  // as an older version does
  const auto store = must(started(pg.options()));
  EXPECT_TRUE(store->needs_upkeep());
  for (int i = 0; i < 10 && store->needs_upkeep(); ++i) ASSERT_OK(store->reseal_some(pg.scope("hospital")));
  EXPECT_FALSE(must(started(pg.options()))->needs_upkeep()) << "control: and then it is up to date";
}

TEST_P(PostgresVectorSearch, AnExtensionThatIsNotAsItMustBeIsRefused) {
  (void)pg.store("hospital");
  const std::string dbname = pg.place("hospital")->login->dbname;
  auto root = PostgresServer::shared().superuser(dbname);
  const std::string schema = pg.options().extension_schema();
  EXPECT_OK(started(pg.options())) << "control";
  root->must_run("UPDATE pg_extension SET extversion = '0.8.1' WHERE extname = 'vector'");
  refused(pg.options(), "ALTER EXTENSION vector UPDATE");
  root->must_run("UPDATE pg_extension SET extversion = '0.8.5' WHERE extname = 'vector'");
  root->must_run("ALTER EXTENSION vector SET SCHEMA public");
  refused(pg.options(), "ALTER EXTENSION vector SET SCHEMA " + schema);
  root->must_run("ALTER EXTENSION vector SET SCHEMA " + schema);
  root->must_run("CREATE TABLE " + schema + ".loot (t text)");
  refused(pg.options(), "holds tables");
  root->must_run("DROP TABLE " + schema + ".loot");
  EXPECT_OK(started(pg.options())) << "control";
  root->must_run("DROP EXTENSION vector CASCADE");
  refused(pg.options(), "CREATE EXTENSION vector SCHEMA " + schema);
}

TEST_P(PostgresVectorSearch, WhatTenantsDatabasesAreCopiedFromIsLookedAtAtTheStart) {
  if (GetParam() != PostgresLayout::Database) return;
  const std::string name = pg.options().template_database();
  const auto at_start = [&]() -> base::Result<void> {
    keep.push_back(must(PostgresBackend::create(pg.options(), *pg.platform.platform, pg.platform.clock)));
    return keep.back()->check();
  };
  EXPECT_OK(at_start()) << "control";
  EXPECT_OK(pg.backend->ensure(tenant_id("hospital"))) << "nobody stays connected to it";
  auto root = PostgresServer::shared().superuser(name);
  root->must_run("UPDATE pg_extension SET extversion = '0.8.1' WHERE extname = 'vector'");
  auto refused = at_start();
  EXPECT_FAILS(StorageError::Misconfigured, refused);
  EXPECT_NE(refused.error().detail().find("ALTER EXTENSION vector UPDATE"), std::string::npos);
  root->must_run("DROP EXTENSION vector");
  refused = at_start();
  EXPECT_FAILS(StorageError::Misconfigured, refused);
  EXPECT_NE(refused.error().detail().find("CREATE EXTENSION vector"), std::string::npos);
}

TEST(PostgresExtension, VersionsAreCompared) {
  for (const char* good : {"0.8.2", "0.8.5", "0.9.0", "0.10.0", "1.0.0"})
    EXPECT_TRUE(extension_is_new_enough(good));
  for (const char* bad : {"0.8.1", "0.8.0", "0.7.4", "0.8", "", "x", "0.8.2x"})
    EXPECT_FALSE(extension_is_new_enough(bad)) << bad;
}

TEST_P(PostgresVectorSearch, ATableWithoutItsPolicyAndALostPartition) {
  put("hospital", "f1", random_vectors(random, 3));
  if (!shared()) return;
  auto root = pg.superuser("hospital");
  const std::string partition = "\"search_" + pg.place("hospital")->name + "\"";
  for (const std::string& each : {std::string("search_vectors"), partition}) {
    EXPECT_OK(started(pg.options())) << "control";
    root->must_run("ALTER TABLE " + each + " NO FORCE ROW LEVEL SECURITY");
    refused(pg.options(), "FORCE");
    root->must_run("ALTER TABLE " + each + " FORCE ROW LEVEL SECURITY");
    root->must_run("DROP POLICY own_rows ON " + each);
    refused(pg.options(), "own_rows");
    root->must_run(
        "CREATE POLICY own_rows ON " + each +
        " USING (tenant = (SELECT current_tenant())) WITH CHECK (tenant = (SELECT current_tenant()))");
  }
  root->must_run("DROP TABLE " + partition);
  EXPECT_FALSE(search("hospital", unit(random), {file_id("f1")}).ok() &&
               pg.store("hospital")
                   ->replace_chunks(pg.scope("hospital"), file_id("f1"), sample_chunks("f1", 1),
                                    random_vectors(random, 1))
                   .ok());
  const auto store = must(started(pg.options()));
  EXPECT_TRUE(store->needs_upkeep()) << "made anew, and filled from the sealed vectors";
}

TEST_P(PostgresVectorSearch, PostureShowsIt) {
  put("hospital", "f1", random_vectors(random, 3));
  const auto seen = must(pg.platform.manager->probe(tenant_id("hospital"), tenant_id("lawfirm")));
  const auto wall = std::find_if(seen.walls.begin(), seen.walls.end(),
                                 [](const WallSeen& each) { return each.layer == "vectors"; });
  ASSERT_NE(wall, seen.walls.end());
  EXPECT_TRUE(wall->stands) << wall->check;
  EXPECT_NE(wall->wall.find("not sealed"), std::string::npos);
  for (const WallSeen& each : seen.walls) EXPECT_TRUE(each.stands) << each.wall << ": " << each.check;
  // Control: a vector of no passage.
  pg.superuser("hospital")
      ->must_run(
          "UPDATE search_vectors SET key = key + 900 WHERE key = (SELECT min(key) FROM search_vectors)");
  const auto broken = must(pg.platform.manager->probe(tenant_id("hospital"), tenant_id("lawfirm")));
  for (const WallSeen& each : broken.walls) {
    if (each.layer == "vectors") EXPECT_FALSE(each.stands) << each.check;
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, PostgresVectorSearch, every_layout(), layout_label);

}  // namespace
}  // namespace bulkhead::storage
