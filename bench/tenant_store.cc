// What the operations of one busy tenant's embedded store take: 20,000 chunks of prose in 20 files. The sizes
// in the documents and the defaults rest on these figures. Prints JSON.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "storage/store_fixture.h"

namespace bulkhead::bench {
namespace {

using namespace storage;
using Milliseconds = std::chrono::duration<double, std::milli>;

constexpr std::size_t kFiles = 20, kChunks = 1'000, kDimensions = 384, kBest = 32;

void succeed(const base::Result<void>& done) {
  if (done) return;
  std::fprintf(stderr, "%s\n", done.error().describe().c_str());
  std::exit(1);
}

class Times {
 public:
  template <typename F>
  void measure(F work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    values_.push_back(Milliseconds(std::chrono::steady_clock::now() - start).count());
  }
  double at(double share) {
    std::sort(values_.begin(), values_.end());
    return values_[static_cast<std::size_t>(share * static_cast<double>(values_.size() - 1))];
  }

 private:
  std::vector<double> values_;
};

void print(const char* name, Times& times, const char* end = ",") {
  std::printf(" {\"what\": \"%s\", \"p50_ms\": %.4f, \"p99_ms\": %.4f}%s\n", name, times.at(0.5),
              times.at(0.99), end);
}

// Words as in real text: few are common, most are rare. `rare` leaves out so many of the common ones.
std::string word(std::mt19937& random, double rare = 0) {
  const double u = static_cast<double>(random() % 1'000'000 + 1) / 1e6;
  return "w" + std::to_string(static_cast<int>(std::pow(30'000.0, rare + (1 - rare) * u)));
}

std::string prose(std::mt19937& random, int words) {
  std::string text;
  for (int i = 0; i < words; ++i) text += word(random) + " ";
  return text;
}

std::vector<std::string> question(std::mt19937& random) {
  std::vector<std::string> words;
  for (int i = 0; i < 6; ++i) words.push_back(word(random, 0.3));
  return words;
}

struct Rig {
  TemporaryFolder folder;
  TestPlatform platform{folder.path() / "data"};
  std::mt19937 random{1};
  std::vector<base::FileId> files;

  Rig() { platform.add_tenant("a"); }
  tenancy::TenantScope scope() { return platform.scope("a"); }

  void upload() {
    Times times;
    const std::string megabyte(1u << 20, 'm');
    for (int i = 0; i < 10; ++i) {
      const auto file = sample_file("m" + std::to_string(i));
      times.measure([&] { succeed(platform.store("a")->put_file(scope(), file, megabyte)); });
    }
    print("upload of 1 MiB", times);
  }

  void fill() {
    Times times;
    std::normal_distribution<float> normal;
    const auto store = platform.store("a");
    for (std::size_t f = 0; f < kFiles; ++f) {
      const std::string id = "f" + std::to_string(f);
      succeed(store->put_file(scope(), sample_file(id), "x"));
      auto chunks = sample_chunks(id, kChunks);
      auto vectors = sample_vectors(kChunks, kDimensions);
      for (std::size_t i = 0; i < chunks.size(); ++i) {
        chunks[i].text = prose(random, 180);
        for (float& x : vectors[i][0].vector) x = normal(random);
      }
      times.measure([&] { succeed(store->replace_chunks(scope(), file_id(id), chunks, vectors)); });
      files.push_back(file_id(id));
    }
    print("1,000 chunks of a file", times);
  }

  void search() {
    Times all, one, passages;
    const auto store = platform.store("a");
    const auto keys = keys_of(*store, scope(), files[7]);
    for (int i = 0; i < 300; ++i) {
      const auto words = question(random);
      all.measure([&] { (void)must(store->search_text(scope(), words, files, kBest)); });
      one.measure([&] { (void)must(store->search_text(scope(), words, {files[3]}, kBest)); });
      std::vector<ChunkKey> wanted;
      for (std::size_t k = 0; k < kBest; ++k) wanted.push_back(keys[random() % keys.size()]);
      passages.measure([&] { (void)must(store->get_chunks(scope(), wanted)); });
    }
    print("words in all files", all);
    print("words in one file", one);
    print("32 passages", passages);
  }

  void read_vectors() {
    Times times;
    const auto store = platform.store("a");
    for (int i = 0; i < 5; ++i) {
      times.measure([&] {
        succeed(store->for_each_vector(scope(), [](ChunkKey, const base::FileId&, const ChunkVectors&) {}));
      });
    }
    print("all vectors", times);
  }

  void find_keys() {
    succeed(platform.store("a")->put_api_key(scope(), {.id = key_id("k1")}));
    const identity::ParsedApiKey key{.tenant = tenant_id("a"), .id = key_id("k1")};
    Times times;
    for (int i = 0; i < 50; ++i) times.measure([&] { (void)must(platform.api_keys->find(key, "text")); });
    print("an API key", times);
  }

  void open() {
    Times times;
    for (int i = 0; i < 30; ++i) {
      platform.manager->close(tenant_id("a"));
      times.measure([&] { (void)must(platform.manager->open(scope())); });
    }
    print("opening the store", times);
  }

  void remove() {
    Times times;
    for (std::size_t f = 0; f < 5; ++f) {
      times.measure([&] { succeed(platform.store("a")->delete_file(scope(), files[f])); });
    }
    print("deletion of 1,000 chunks", times, "");
  }
};

}  // namespace
}  // namespace bulkhead::bench

int main() {
  bulkhead::bench::Rig rig;
  std::printf("[\n");
  rig.upload();
  rig.fill();
  rig.search();
  rig.read_vectors();
  rig.find_keys();
  rig.open();
  rig.remove();
  std::printf("]\n");
}
