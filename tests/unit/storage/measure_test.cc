// Prints the figures that the sizing in docs and the defaults rest on. Asserts only generous bounds
// that hold on a busy machine too.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <random>

#include "store_fixture.h"

namespace bulkhead::storage {
namespace {

using Milliseconds = std::chrono::duration<double, std::milli>;

template <typename F>
double milliseconds(F work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return Milliseconds(std::chrono::steady_clock::now() - start).count();
}

double percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

std::size_t resident_kib() {
  std::ifstream in("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  in >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) / 1024;
}

// Words as in real text: few are common, most are rare.
std::string prose(std::mt19937& random, int words) {
  std::string text;
  for (int i = 0; i < words; ++i) {
    const double u = static_cast<double>(random() % 1'000'000 + 1) / 1e6;
    text += "w" + std::to_string(static_cast<int>(std::pow(30'000.0, u))) + " ";
  }
  return text;
}

TEST(Measured, OneBusyTenant) {
  TemporaryFolder folder;
  TestPlatform platform(folder.path() / "data");
  platform.add_tenant("a");
  const auto scope = platform.scope("a");
  auto store = platform.store("a");
  std::mt19937 random(1);

  std::vector<double> puts;
  std::string megabyte(1u << 20, 'm');
  for (int i = 0; i < 10; ++i) {
    const auto file = sample_file("m" + std::to_string(i));
    puts.push_back(milliseconds([&] { ASSERT_OK(store->put_file(scope, file, megabyte)); }));
  }
  std::printf("[ measured ] put_file of 1 MiB: median %.1f ms\n", percentile(puts, 0.5));

  std::vector<base::FileId> files;
  std::vector<double> replaces;
  std::normal_distribution<float> normal;
  for (int f = 0; f < 20; ++f) {
    const std::string id = "f" + std::to_string(f);
    ASSERT_OK(store->put_file(scope, sample_file(id), "x"));
    auto chunks = sample_chunks(id, 1000);
    auto vectors = sample_vectors(1000, 384);
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      chunks[i].text = prose(random, 180);
      for (float& x : vectors[i][0].vector) x = normal(random);
    }
    replaces.push_back(
        milliseconds([&] { ASSERT_OK(store->replace_chunks(scope, file_id(id), chunks, vectors)); }));
    files.push_back(file_id(id));
  }
  std::printf("[ measured ] replace_chunks of 1,000 chunks: median %.0f ms, worst %.0f ms\n",
              percentile(replaces, 0.5), percentile(replaces, 1));

  std::vector<double> searches;
  for (int i = 0; i < 300; ++i) {
    std::vector<std::string> words;
    for (int w = 0; w < 6; ++w) {
      const double u = static_cast<double>(random() % 1'000'000 + 1) / 1e6;
      words.push_back("w" + std::to_string(static_cast<int>(std::pow(30'000.0, 0.3 + 0.7 * u))));
    }
    searches.push_back(milliseconds([&] { ASSERT_OK(store->search_text(scope, words, files, 32)); }));
  }
  std::printf("[ measured ] search_text at 20,000 chunks, 6 words: p50 %.1f ms, p99 %.1f ms\n",
              percentile(searches, 0.5), percentile(searches, 0.99));

  std::vector<double> one_file;
  for (int i = 0; i < 100; ++i) {
    one_file.push_back(
        milliseconds([&] { ASSERT_OK(store->search_text(scope, {prose(random, 6)}, {files[3]}, 32)); }));
  }
  std::printf("[ measured ] the same in 1 of 20 files: p50 %.1f ms, p99 %.1f ms\n", percentile(one_file, 0.5),
              percentile(one_file, 0.99));

  const auto keys = keys_of(*store, scope, files[7]);
  std::vector<double> gets;
  for (int i = 0; i < 50; ++i) {
    std::vector<ChunkKey> wanted;
    for (int k = 0; k < 32; ++k) wanted.push_back(keys[random() % keys.size()]);
    gets.push_back(milliseconds([&] { ASSERT_OK(store->get_chunks(scope, wanted)); }));
  }
  std::printf("[ measured ] get_chunks of 32: p50 %.2f ms, p99 %.2f ms\n", percentile(gets, 0.5),
              percentile(gets, 0.99));
  std::size_t vectors = 0;
  const double stream = milliseconds([&] {
    ASSERT_OK(store->for_each_vector(scope,
                                     [&](ChunkKey, const base::FileId&, const ChunkVectors&) { ++vectors; }));
  });
  EXPECT_EQ(vectors, 20'000u);
  std::printf("[ measured ] for_each_vector of 20,000 x 384: %.0f ms\n", stream);
  std::printf("[ measured ] delete_file of 1,000 of 20,000 chunks: %.0f ms\n",
              milliseconds([&] { ASSERT_OK(store->delete_file(scope, files[0])); }));
  store.reset();

  std::vector<double> opens;
  for (int i = 0; i < 30; ++i) {
    platform.manager->close(tenant_id("a"));
    opens.push_back(milliseconds([&] { ASSERT_OK(platform.manager->open(scope)); }));
  }
  std::printf("[ measured ] cold open: median %.1f ms, worst %.1f ms\n", percentile(opens, 0.5),
              percentile(opens, 1));
  EXPECT_LT(percentile(opens, 0.5), 50.0);
}

TEST(Measured, FindingAnApiKey) {
  TemporaryFolder folder;
  TestPlatform platform(folder.path() / "data");
  platform.add_tenant("a");
  ASSERT_OK(platform.store("a")->put_api_key(platform.scope("a"), {.id = key_id("k1")}));
  const identity::ParsedApiKey key{.tenant = tenant_id("a"), .id = key_id("k1")};
  for (bool open : {true, false}) {
    if (!open) platform.manager->close(tenant_id("a"));
    std::vector<double> finds;
    for (int i = 0; i < 50; ++i) {
      finds.push_back(milliseconds([&] { ASSERT_OK(platform.manager->find(key, "text")); }));
    }
    std::printf("[ measured ] find of an API key, store %s: p50 %.3f ms, worst %.3f ms\n",
                open ? "open" : "closed", percentile(finds, 0.5), percentile(finds, 1));
  }
}

TEST(Measured, MemoryOfOpenStores) {
  constexpr int kStores = 128;
  TemporaryFolder folder;
  TestPlatform platform(folder.path() / "data", kStores);
  std::mt19937 random(2);
  for (int t = 0; t < kStores; ++t) {
    const std::string name = "t" + std::to_string(t);
    platform.add_tenant(name);
    const auto scope = platform.scope(name);
    const auto store = platform.store(name);
    ASSERT_OK(store->put_file(scope, sample_file("f"), "x"));
    auto chunks = sample_chunks("f", 100);
    for (auto& chunk : chunks) chunk.text = prose(random, 180);
    ASSERT_OK(store->replace_chunks(scope, file_id("f"), chunks, sample_vectors(100, 384)));
    platform.manager->close(tenant_id(name));
  }
  const auto use = [&](int t) {
    const std::string name = "t" + std::to_string(t);
    const auto scope = platform.scope(name);
    const auto store = platform.store(name);
    ASSERT_OK(store->search_text(scope, {"w5", "w700"}, {file_id("f")}, 32));
    ASSERT_OK(store->get_chunks(scope, keys_of(*store, scope, file_id("f"))));
    ASSERT_OK(store->list_files(scope, {}));
    ASSERT_OK(store->candidates(scope, {store_id("none")}));
    ASSERT_OK(store->put_api_key(scope, {.id = key_id("k")}));
  };
  const std::size_t before = resident_kib();
  for (int t = 0; t < kStores; ++t) use(t);
  ASSERT_EQ(platform.manager->open_count(), static_cast<std::size_t>(kStores));
  const std::size_t grown = resident_kib() - before;
  const auto one = std::static_pointer_cast<SqliteStore>(platform.store("t0"));
  std::printf("[ measured ] resident memory of an open, used store: %zu KiB (SQLite counts %zu KiB)\n",
              grown / kStores, static_cast<std::size_t>(one->memory_bytes()) / 1024);
}

}  // namespace
}  // namespace bulkhead::storage
