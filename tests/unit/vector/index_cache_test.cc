// IndexCache over real stores: one build at a time, rebuilt when vectors changed, never another
// tenant's.
#include <atomic>
#include <thread>

#include "storage/store_fixture.h"
#include "vector/index.h"

namespace bulkhead::vector {
namespace {

using storage::StorageError;

class Cache : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* tenant : {"a", "b"}) {
      platform.add_tenant(tenant);
      ASSERT_OK(platform.store(tenant)->put_file(platform.scope(tenant), storage::sample_file("f1"), "x"));
      fill(tenant, *tenant == 'a' ? 10 : 20);
    }
  }
  void fill(std::string_view tenant, std::size_t count, std::size_t dimensions = 8) {
    ASSERT_OK(platform.store(tenant)->replace_chunks(platform.scope(tenant), storage::file_id("f1"),
                                                     storage::sample_chunks("f1", count),
                                                     storage::sample_vectors(count, dimensions, space)));
  }
  base::Result<std::shared_ptr<const ExactIndex>> get(IndexCache& cache, std::string_view tenant) {
    return get(cache, tenant, space);
  }
  base::Result<std::shared_ptr<const ExactIndex>> get(IndexCache& cache, std::string_view tenant,
                                                      const base::EmbeddingSpace& wanted) {
    return cache.get(platform.scope(tenant), *platform.store(tenant), wanted);
  }
  const base::EmbeddingSpace space = storage::sample_space(1);
  storage::TemporaryFolder folder;
  storage::TestPlatform platform{folder.path() / "data"};
};

TEST_F(Cache, KeepsAnIndexUntilItsVectorsChange) {
  IndexCache cache;
  const auto first = *get(cache, "a");
  EXPECT_EQ(first->size(), 10u);
  EXPECT_EQ(*get(cache, "a"), first);
  ASSERT_OK(platform.store("a")->set_file_access(platform.scope("a"), storage::file_id("f1"), {}));
  EXPECT_EQ(*get(cache, "a"), first) << "an access list does not change vectors";
  fill("a", 30);
  EXPECT_EQ((*get(cache, "a"))->size(), 30u);
  EXPECT_EQ(first->size(), 10u) << "a search under way keeps the index that it has";
  ASSERT_OK(platform.store("a")->delete_file(platform.scope("a"), storage::file_id("f1")));
  EXPECT_EQ((*get(cache, "a"))->size(), 0u);
}

TEST_F(Cache, GivesNoIndexToAnotherTenantOrADeadScope) {
  IndexCache cache;
  const auto of_a = *get(cache, "a");
  const auto scope_b = platform.scope("b");
  EXPECT_TRUE(
      storage::fails_with(StorageError::ScopeMismatch, cache.get(scope_b, *platform.store("a"), space)));
  EXPECT_EQ((*get(cache, "b"))->size(), 20u) << "control: its own";
  EXPECT_NE(*get(cache, "b"), of_a);
  EXPECT_TRUE(
      storage::fails_with(StorageError::ScopeMismatch, cache.get(scope_b, *platform.store("a"), space)))
      << "also with its own index in the cache";
  const auto scope_a = platform.scope("a");
  const auto store_a = platform.store("a");
  EXPECT_TRUE(storage::is_ok(cache.get(scope_a, *store_a, space)));
  (void)storage::must(platform.directory->suspend(storage::tenant_id("a"), "test"));
  EXPECT_TRUE(storage::fails_with(StorageError::TenantGone, cache.get(scope_a, *store_a, space)));
}

TEST_F(Cache, BuildsOnceForManyAtOnce) {
  IndexCache cache;
  const auto scope = platform.scope("a");
  const auto store = platform.store("a");
  std::vector<std::shared_ptr<const ExactIndex>> got(8);
  std::vector<std::thread> threads;
  for (auto& slot : got) {
    threads.emplace_back([&] { slot = storage::must(cache.get(scope, *store, space)); });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& each : got) EXPECT_EQ(each, got[0]);
}

TEST_F(Cache, StaysWithinItsBytesAndForgetsWhatIsDropped) {
  const auto of_a = *get(*std::make_unique<IndexCache>(), "a");
  IndexCache cache(of_a->bytes() + 100);
  const auto first = *get(cache, "a");
  const auto second = *get(cache, "b");
  EXPECT_EQ(*get(cache, "b"), second);
  EXPECT_NE(*get(cache, "a"), first) << "made room for b";
  IndexCache large;
  const auto kept = *get(large, "a");
  large.drop(storage::tenant_id("a"));
  large.drop(storage::tenant_id("nobody"));
  EXPECT_NE(*get(large, "a"), kept);
}

TEST_F(Cache, ASpaceThatSomeChunkLacksIsNotSearched) {
  IndexCache cache;
  EXPECT_EQ((*get(cache, "a"))->size(), 10u) << "control: in its own space";
  const auto other = storage::sample_space(2);
  EXPECT_TRUE(storage::fails_with(StorageError::Reindexing, get(cache, "a", other)));
  EXPECT_TRUE(storage::fails_with(StorageError::Reindexing, get(cache, "a", {}))) << "nor in none";
  EXPECT_EQ((*get(cache, "a"))->size(), 10u) << "the other one goes on";

  // One file of two has both; then the other one too.
  const auto scope = platform.scope("a");
  const auto store = platform.store("a");
  ASSERT_OK(store->put_file(scope, storage::sample_file("f2"), "x"));
  auto both = storage::sample_vectors(3, 8, space);
  for (auto& each : both) each.push_back({other, std::vector<float>(16, 0.25F)});
  ASSERT_OK(store->replace_chunks(scope, storage::file_id("f2"), storage::sample_chunks("f2", 3), both));
  EXPECT_TRUE(storage::fails_with(StorageError::Reindexing, get(cache, "a", other)));
  EXPECT_EQ((*get(cache, "a"))->size(), 13u);
  auto chunks = storage::must(store->file_chunks(scope, storage::file_id("f1")));
  for (auto& each : chunks.vectors) each = {{other, std::vector<float>(16, 0.25F)}};
  ASSERT_OK(store->put_vectors(scope, storage::file_id("f1"), chunks.batch, chunks.vectors));
  const auto index = *get(cache, "a", other);
  EXPECT_EQ(index->size(), 13u);
  EXPECT_EQ(index->dimensions(), 16u);
  EXPECT_TRUE(storage::fails_with(StorageError::Reindexing, get(cache, "a"))) << "what it left";
  EXPECT_EQ(*get(cache, "a", other), index);
}

TEST_F(Cache, WhatOlderVersionsStoredIsNotSearched) {
  IndexCache cache;
  ASSERT_OK(platform.store("b")->replace_chunks(platform.scope("b"), storage::file_id("f1"),
                                                storage::sample_chunks("f1", 4), storage::sample_vectors(4)));
  EXPECT_TRUE(storage::fails_with(StorageError::Reindexing, get(cache, "b")));
}

TEST_F(Cache, VectorsOfTwoLengthsAreRefused) {
  IndexCache cache;
  ASSERT_OK(platform.store("a")->put_file(platform.scope("a"), storage::sample_file("f2"), "x"));
  ASSERT_OK(platform.store("a")->replace_chunks(platform.scope("a"), storage::file_id("f2"),
                                                storage::sample_chunks("f2", 3),
                                                storage::sample_vectors(3, 16, space)));
  EXPECT_TRUE(storage::fails_with(StorageError::Corrupt, get(cache, "a")));
}

TEST_F(Cache, SearchesWhatTheStoreHolds) {
  IndexCache cache;
  const auto index = *get(cache, "a");
  std::vector<float> query(8, 0.0F);
  query[3] = 1.0F;
  const auto hits = index->search(query, {storage::file_id("f1")}, 1);
  ASSERT_EQ(hits.size(), 1u);
  EXPECT_FLOAT_EQ(hits[0].score, 1.0F);
  const auto chunks = platform.store("a")->get_chunks(platform.scope("a"), {hits[0].key});
  ASSERT_OK(chunks);
  EXPECT_EQ(chunks->at(0).ordinal, 3u);
}

}  // namespace
}  // namespace bulkhead::vector
