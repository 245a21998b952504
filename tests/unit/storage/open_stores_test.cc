// Many open stores, each used: what SQLite keeps in memory for one of them is bounded.
#include <gtest/gtest.h>

#include "store_fixture.h"

namespace bulkhead::storage {
namespace {

// Two connections with a page cache of 256 KiB each (docs/threat-model.md), and their schema and statements.
constexpr std::uint64_t kMemoryMax = 2 * (256u << 10) + (384u << 10);

TEST(OpenStores, KeepABoundedPartOfTheirDataInMemory) {
  constexpr int kStores = 3, kFiles = 8, kChunks = 100;
  TemporaryFolder folder;
  TestPlatform platform(folder.path() / "data", kStores);
  for (int t = 0; t < kStores; ++t) {
    const std::string name = "t" + std::to_string(t);
    platform.add_tenant(name);
    const auto scope = platform.scope(name);
    const auto store = platform.store(name);
    std::vector<base::FileId> files;
    for (int f = 0; f < kFiles; ++f) {
      const std::string id = "f" + std::to_string(f);
      ASSERT_OK(store->put_file(scope, sample_file(id), "x"));
      auto chunks = sample_chunks(id, kChunks);
      for (std::size_t i = 0; i < chunks.size(); ++i) {
        for (int w = 0; w < 200; ++w) chunks[i].text += " w" + std::to_string((i * 200 + w) % 5'000);
      }
      ASSERT_OK(store->replace_chunks(scope, file_id(id), chunks, sample_vectors(kChunks, 384)));
      files.push_back(file_id(id));
    }
    for (const base::FileId& file : files) {
      ASSERT_OK(store->search_text(scope, {"w5", "w700"}, {file}, 32));
      ASSERT_OK(store->get_chunks(scope, keys_of(*store, scope, file)));
    }
  }
  ASSERT_EQ(platform.manager->open_count(), static_cast<std::size_t>(kStores));
  for (int t = 0; t < kStores; ++t) {
    const std::string name = "t" + std::to_string(t);
    const auto store = std::static_pointer_cast<SqliteStore>(platform.store(name));
    EXPECT_LE(store->memory_bytes(), kMemoryMax) << name;
    EXPECT_GT(store->memory_bytes(), 64u << 10) << "control: something is counted";
    EXPECT_GT(std::filesystem::file_size(folder.path() / "data" / "tenants" / name / "store.db"),
              2 * kMemoryMax)
        << "control: it would not all fit";
  }
}

}  // namespace
}  // namespace bulkhead::storage
