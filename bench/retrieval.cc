// Search in one tenant's index at several sizes, beside a plain scan of floats over the same vectors:
// time of each, and whether the answers are the same. Half of the files may be read by who asks. Prints JSON.
#include <algorithm>
#include <cstdio>
#include <ctime>

#include "base/json.h"
#include "corpus.h"
#include "float_scan.h"
#include "vector/index.h"

namespace bulkhead::bench {
namespace {

constexpr std::size_t kChunksPerFile = 50;
constexpr std::size_t kBest = 32;  // what retrieval takes before it fuses
constexpr int kRounds = 400, kRoundsOfLarge = 100;

// The searching thread's own time: what else the machine does at that moment is not the index's.
double thread_ms() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

base::FileId file_of(std::size_t row) {
  return *base::FileId::parse("file-" + std::to_string(row / kChunksPerFile));
}

double percentile(std::vector<double>& values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

struct Corpus {
  Vector rows;
  std::shared_ptr<const vector::ExactIndex> index;
  std::vector<base::FileId> files, readable;
};

Corpus make_corpus(std::mt19937& random, std::size_t chunks) {
  Corpus corpus;
  std::vector<Vector> topics = make_topics(random);
  vector::ExactIndex::Builder builder(kDimensions);
  for (std::size_t row = 0; row < chunks; ++row) {
    Vector passage = near(random, topics[random() % topics.size()].data(), kNearTopic);
    corpus.rows.insert(corpus.rows.end(), passage.begin(), passage.end());
    builder.add(static_cast<storage::ChunkKey>(row), file_of(row), passage.data());
    if (row % kChunksPerFile != 0) continue;
    corpus.files.push_back(file_of(row));
    if (row / kChunksPerFile % 2 == 0) corpus.readable.push_back(file_of(row));
  }
  corpus.index = builder.build();
  return corpus;
}

void measure(base::json::Writer& w, std::size_t chunks) {
  std::mt19937 random(7);
  Corpus corpus = make_corpus(random, chunks);
  std::vector<double> ours, filtered, scan;
  std::size_t same = 0, wanted = 0;
  auto timed = [](std::vector<double>& into, auto work) {
    double began = thread_ms();
    auto result = work();
    into.push_back(thread_ms() - began);
    return result;
  };
  int rounds = chunks > 100'000 ? kRoundsOfLarge : kRounds;
  for (int round = 0; round < rounds; ++round) {
    Vector query = near(random, corpus.rows.data() + random() % chunks * kDimensions, kNearPassage);
    auto hits = timed(ours, [&] { return corpus.index->search(query, corpus.files, kBest); });
    timed(filtered, [&] { return corpus.index->search(query, corpus.readable, kBest); });
    auto best = timed(scan, [&] { return float_scan(corpus.rows, kDimensions, query.data(), kBest); });
    for (std::size_t row : best) {
      ++wanted;
      same += std::any_of(hits.begin(), hits.end(),
                          [row](const auto& hit) { return hit.key == static_cast<storage::ChunkKey>(row); });
    }
  }
  w.begin_object()
      .member("chunks", static_cast<std::uint64_t>(chunks))
      .member("p50_ms", percentile(ours, .5))
      .member("p99_ms", percentile(ours, .99))
      .member("half_readable_p99_ms", percentile(filtered, .99))
      .member("float_scan_p50_ms", percentile(scan, .5))
      .member("float_scan_p99_ms", percentile(scan, .99))
      .member("recall", static_cast<double>(same) / static_cast<double>(wanted))
      .member("index_bytes", static_cast<std::uint64_t>(corpus.index->bytes()))
      .end_object();
}

}  // namespace
}  // namespace bulkhead::bench

int main() {
  bulkhead::base::json::Writer w;
  w.begin_array();
  for (std::size_t chunks : {1'000u, 5'000u, 20'000u, 1'000'000u}) bulkhead::bench::measure(w, chunks);
  w.end_array();
  std::printf("%s\n", w.take().c_str());
}
