// A platform in a temporary folder, with tenants whose scopes are the real ones.
#pragma once

#include <gtest/gtest.h>
#define SQLITE_HAS_CODEC 1
#include <sqlite3.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "storage/api_key_lookup.h"
#include "storage/sqlite_store.h"
#include "storage/store_manager.h"
#include "storage/tenant_schema.h"
#include "support/test_principal.h"

namespace bulkhead::storage {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "bulkhead-storage-XXXXXX").string();
    if (!::mkdtemp(name.data())) std::abort();
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

template <typename T>
T must(base::Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().describe();
    std::abort();
  }
  return std::move(*result);
}

inline base::TenantId tenant_id(std::string_view name) { return *base::TenantId::parse(name); }
inline base::FileId file_id(std::string_view name) { return *base::FileId::parse(name); }
inline base::VectorStoreId store_id(std::string_view name) { return *base::VectorStoreId::parse(name); }
inline base::ChatId chat_id(std::string_view name) { return *base::ChatId::parse(name); }
inline base::ApiKeyId key_id(std::string_view name) { return *base::ApiKeyId::parse(name); }

// The platform over one data folder; several can follow each other on the same folder.
class TestPlatform {
 public:
  explicit TestPlatform(std::filesystem::path data_dir, std::size_t open_stores_max = 128)
      : data_dir_(std::move(data_dir)) {
    const auto key_file = data_dir_.string() + ".keys";
    if (!std::filesystem::exists(key_file)) {
      const base::Secret content = crypto::PlatformKeys::generate_file_content();
      const std::string text(content.reveal_text());
      FILE* out = std::fopen(key_file.c_str(), "w");
      std::fwrite(text.data(), 1, text.size(), out);
      std::fclose(out);
      std::filesystem::permissions(key_file, std::filesystem::perms::owner_read);
    }
    keys = must(crypto::PlatformKeys::load(key_file));
    platform = must(PlatformDatabase::open(data_dir_, *keys, true));
    directory = std::make_unique<tenancy::TenantDirectory>(keys, *platform, clock);
    if (auto loaded = directory->load(); !loaded) ADD_FAILURE() << loaded.error().describe();
    manager = std::make_unique<StoreManager>(data_dir_, *directory, clock, open_stores_max);
    api_keys = std::make_unique<ApiKeyLookup>(*platform, *manager);
  }

  void add_tenant(std::string_view name, std::uint64_t storage_bytes_max = 4ull << 30) {
    tenancy::TenantLimits limits;
    limits.storage_bytes_max = storage_bytes_max;
    add_tenant(name, limits);
  }
  void add_tenant(std::string_view name, const tenancy::TenantLimits& limits) {
    tenancy::TenantPolicy policy;
    policy.limits = limits;
    (void)must(directory->create(tenant_id(name), std::string(name), tenancy::IsolationMode::Hybrid, policy));
  }
  tenancy::TenantScope scope(std::string_view tenant) {
    return must(directory->open(test::principal(std::string(tenant), "alice")));
  }
  std::shared_ptr<TenantStore> store(std::string_view tenant) { return must(manager->open(scope(tenant))); }
  std::filesystem::path database_path(std::string_view tenant) const {
    return tenant_database_path(data_dir_, tenant_id(tenant));
  }
  const std::filesystem::path& data_dir() const { return data_dir_; }

  base::ManualClock clock{1'800'000'000};
  std::shared_ptr<crypto::PlatformKeys> keys;
  std::unique_ptr<PlatformDatabase> platform;
  std::unique_ptr<tenancy::TenantDirectory> directory;
  std::unique_ptr<StoreManager> manager;
  std::unique_ptr<ApiKeyLookup> api_keys;

 private:
  std::filesystem::path data_dir_;
};

inline FileRecord sample_file(std::string_view id, std::int64_t created = 1'800'000'000) {
  FileRecord file{.id = file_id(id)};
  file.name = "Leave policy.txt";
  file.purpose = "assistants";
  file.owner = "alice";
  file.content_type = "text/plain";
  file.created = created;
  file.access.groups = {"hr"};
  file.sha256 = "hmac";
  return file;
}

inline std::vector<Chunk> sample_chunks(std::string_view file, std::size_t count,
                                        std::string_view word = "parental") {
  std::vector<Chunk> chunks;
  for (std::size_t i = 0; i < count; ++i) {
    Chunk chunk{.file = file_id(file), .ordinal = static_cast<std::uint32_t>(i)};
    chunk.text = "Piece " + std::to_string(i) + " about " + std::string(word) + " leave.";
    chunk.heading = "Handbook > Part " + std::to_string(i % 3);
    chunk.page = static_cast<std::uint32_t>(i + 1);
    chunk.begin = static_cast<std::uint32_t>(i * 100);
    chunk.end = chunk.begin + 90;
    chunk.tokens = 12;
    chunks.push_back(std::move(chunk));
  }
  return chunks;
}

inline base::EmbeddingSpace sample_space(std::uint8_t number) {
  base::EmbeddingSpace space;
  space.bytes.fill(number);
  return space;
}

// Of a space that is not known, as long as none is named.
inline std::vector<ChunkVectors> sample_vectors(std::size_t count, std::size_t dimensions = 8,
                                                const base::EmbeddingSpace& space = {}) {
  std::vector<ChunkVectors> vectors(count, {{space, std::vector<float>(dimensions, 0.0F)}});
  for (std::size_t i = 0; i < count; ++i) vectors[i][0].vector[i % dimensions] = 1.0F;
  return vectors;
}

inline std::vector<ChunkKey> keys_of(TenantStore& store, const tenancy::TenantScope& scope,
                                     const base::FileId& file) {
  std::vector<ChunkKey> keys;
  const auto read =
      store.for_each_vector(scope, [&](ChunkKey key, const base::FileId& owner, const ChunkVectors&) {
        if (owner == file) keys.push_back(key);
      });
  if (!read) ADD_FAILURE() << read.error().describe();
  return keys;
}

template <typename T>
::testing::AssertionResult is_ok(const base::Result<T>& result) {
  if (result) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << result.error().describe();
}

template <typename T, typename Code>
::testing::AssertionResult fails_with(Code code, const base::Result<T>& result) {
  if (result) return ::testing::AssertionFailure() << "it worked";
  if (result.error().is(code)) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << result.error().describe();
}

#define ASSERT_OK(...) ASSERT_TRUE(::bulkhead::storage::is_ok(__VA_ARGS__))
#define EXPECT_OK(...) EXPECT_TRUE(::bulkhead::storage::is_ok(__VA_ARGS__))
#define EXPECT_FAILS(code, ...) EXPECT_TRUE(::bulkhead::storage::fails_with(code, __VA_ARGS__))

}  // namespace bulkhead::storage
