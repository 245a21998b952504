#include "storage/term_hits.h"

#include <sqlite3.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "storage/sqlite_fts5.h"

namespace bulkhead::storage {
namespace {

constexpr double kSaturation = 1.2;     // k1
constexpr double kLengthWeight = 0.75;  // b
constexpr int kPhrasesMax = 256;

void term_hits(const Fts5ExtensionApi* api, Fts5Context* row, sqlite3_context* context, int,
               sqlite3_value**) {
  const int phrases = std::min(api->xPhraseCount(row), kPhrasesMax);
  std::uint32_t out[kPhrasesMax + 1] = {};
  int words = 0, instances = 0;
  int code = api->xColumnSize(row, -1, &words);
  if (code == SQLITE_OK) code = api->xInstCount(row, &instances);
  for (int i = 0; i < instances && code == SQLITE_OK; ++i) {
    int phrase = 0, column = 0, offset = 0;
    code = api->xInst(row, i, &phrase, &column, &offset);
    if (phrase >= 0 && phrase < phrases) ++out[phrase + 1];
  }
  if (code != SQLITE_OK) {
    sqlite3_result_error_code(context, code);
    return;
  }
  out[0] = static_cast<std::uint32_t>(std::max(words, 0));
  sqlite3_result_blob(context, out, (phrases + 1) * static_cast<int>(sizeof out[0]), SQLITE_TRANSIENT);
}

}  // namespace

int register_term_hits(sqlite3* connection) {
  fts5_api* api = nullptr;
  if (const int code = find_fts5(connection, api); code != SQLITE_OK) return code;
  return api->xCreateFunction(api, "term_hits", nullptr, term_hits, nullptr);
}

bool TermRanking::add(ChunkKey key, base::ByteView hits) {
  const std::size_t numbers = hits.size() / sizeof(std::uint32_t);
  if (numbers < 2 || hits.size() % sizeof(std::uint32_t) != 0) return false;
  if (rows_.empty()) phrases_ = numbers - 1;
  if (numbers - 1 != phrases_) return false;
  std::uint32_t words = 0;
  std::memcpy(&words, hits.data(), sizeof words);
  rows_.push_back({key, words});
  const std::size_t at = counts_.size();
  counts_.resize(at + phrases_);
  std::memcpy(counts_.data() + at, hits.data() + sizeof words, phrases_ * sizeof(std::uint32_t));
  return true;
}

std::vector<LexicalHit> TermRanking::best(std::uint64_t rows, std::size_t limit) const {
  if (rows_.empty()) return {};
  const double all = static_cast<double>(std::max<std::uint64_t>(rows, rows_.size()));
  std::vector<double> weights(phrases_);
  for (std::size_t phrase = 0; phrase < phrases_; ++phrase) {
    double holding = 0;
    for (std::size_t i = 0; i < rows_.size(); ++i) holding += counts_[i * phrases_ + phrase] > 0 ? 1 : 0;
    weights[phrase] = std::log(1 + (all - holding + 0.5) / (holding + 0.5));
  }
  double words = 0;
  for (const Row& row : rows_) words += row.words;
  const double mean = std::max(words / static_cast<double>(rows_.size()), 1.0);
  std::vector<LexicalHit> hits;
  hits.reserve(rows_.size());
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    const double length = kSaturation * (1 - kLengthWeight + kLengthWeight * rows_[i].words / mean);
    double score = 0;
    for (std::size_t phrase = 0; phrase < phrases_; ++phrase) {
      const double count = counts_[i * phrases_ + phrase];
      if (count > 0) score += weights[phrase] * count * (kSaturation + 1) / (count + length);
    }
    hits.push_back({.key = rows_[i].key, .score = score});
  }
  const auto better = [](const LexicalHit& a, const LexicalHit& b) {
    return a.score != b.score ? a.score > b.score : a.key < b.key;
  };
  const auto end = hits.begin() + static_cast<std::ptrdiff_t>(std::min(limit, hits.size()));
  std::partial_sort(hits.begin(), end, hits.end(), better);
  hits.erase(end, hits.end());
  return hits;
}

}  // namespace bulkhead::storage
