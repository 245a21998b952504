#include "rag/retriever.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <unordered_map>

#include "storage/index_terms.h"
#include "vector/search.h"

namespace bulkhead::rag {

using base::Error;
using base::Result;
using base::Task;

namespace {

constexpr double kRankConstant = 60;
constexpr std::size_t kWordsMax = 32;
constexpr std::size_t kTermsOfAChunkMax = 1'000;
// Passages are fetched beyond those wanted, since the same one may stand in several files.
constexpr std::size_t kTwinsFactor = 3;
// Longer questions are cut for the embedding only; MiniLM's authors cut at 256 word pieces.
constexpr std::size_t kQuestionBytesMax = 1000;
constexpr std::size_t kQuestionBytesMin = 64;
// What a rerank model is given first; cross-encoders of BERT's kind take 512 tokens a pair.
constexpr std::size_t kRerankQuestionBytesMax = 512;
constexpr std::size_t kRerankChunkBytesMax = 4096;
constexpr std::size_t kRerankBytesMin = 64;
// The share of the relevance that found words can add to the cosine.
constexpr double kWordWeight = 0.25;
// Chunks whose words count towards relevance.
constexpr std::size_t kWordChunks = 3;

constexpr std::array<std::string_view, 96> kStopWords = {
    "a",     "about",  "after", "all",   "also", "am",    "an",   "and",  "any",  "are",   "as",     "at",
    "be",    "been",   "but",   "by",    "can",  "could", "did",  "do",   "does", "each",  "for",    "from",
    "get",   "give",   "had",   "has",   "have", "he",    "her",  "his",  "how",  "i",     "if",     "in",
    "into",  "is",     "it",    "its",   "many", "may",   "me",   "more", "most", "much",  "must",   "my",
    "no",    "not",    "of",    "on",    "one",  "only",  "or",   "our",  "out",  "over",  "please", "say",
    "she",   "should", "so",    "some",  "such", "tell",  "than", "that", "the",  "their", "them",   "then",
    "there", "these",  "they",  "this",  "to",   "under", "up",   "us",   "was",  "we",    "were",   "what",
    "when",  "where",  "which", "while", "who",  "whom",  "why",  "will", "with", "would", "you",    "your"};

bool is_stop_word(std::string_view word) {
  return std::find(kStopWords.begin(), kStopWords.end(), word) != kStopWords.end();
}

bool is_word_byte(unsigned char c) { return std::isalnum(c) != 0 || c >= 0x80; }

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    unsigned char c = i < text.size() ? static_cast<unsigned char>(text[i]) : ' ';
    if (is_word_byte(c)) {
      word.push_back(static_cast<char>(c < 0x80 ? std::tolower(c) : c));
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  return words;
}

// Words are the same when one is the other with an English ending; enough for counting.
bool same_stem(std::string_view a, std::string_view b) {
  if (a == b) return true;
  std::size_t shorter = std::min(a.size(), b.size());
  if (shorter < 4) return false;
  std::size_t common = 0;
  while (common < shorter && a[common] == b[common]) ++common;
  return common >= 4 && common + 1 >= shorter && std::max(a.size(), b.size()) - common <= 3;
}

// At most `bytes_max` bytes from the start, never a part of a character.
std::string prefix_of(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return std::string(text);
  while (bytes_max > 0 && (static_cast<unsigned char>(text[bytes_max]) & 0xC0) == 0x80) --bytes_max;
  return std::string(text.substr(0, bytes_max));
}

struct Fused {
  double score = 0;
  double similarity = 0;
};

}  // namespace

std::vector<std::string> content_words(std::string_view text) {
  const std::string normal = storage::normalized(text);
  std::vector<std::string> kept = storage::special_terms(normal, kWordsMax);
  std::set<std::string> seen(kept.begin(), kept.end());
  for (std::string& word : words_of(normal)) {
    if (kept.size() >= kWordsMax) break;
    if (word.size() < 2 || is_stop_word(word) || storage::is_unspaced(word) || !seen.insert(word).second)
      continue;
    kept.push_back(std::move(word));
  }
  return kept;
}

double relevance_of(std::span<const RetrievedChunk> chunks, const std::vector<std::string>& words) {
  if (chunks.empty()) return 0;
  double best = 0;
  for (const RetrievedChunk& chunk : chunks) best = std::max(best, chunk.similarity);
  if (words.empty()) return best;
  // The best chunk's coverage, not the union's: unrelated chunks together contain almost any word.
  double coverage = 0;
  for (std::size_t i = 0; i < std::min(chunks.size(), kWordChunks); ++i) {
    const std::string text = storage::normalized(chunks[i].chunk.heading + " " + chunks[i].chunk.text);
    std::vector<std::string> present = words_of(text);
    for (std::string& term : storage::special_terms(text, kTermsOfAChunkMax))
      present.push_back(std::move(term));
    std::size_t found = 0;
    for (const std::string& word : words) {
      found += std::any_of(present.begin(), present.end(),
                           [&](const std::string& other) { return same_stem(word, other); });
    }
    coverage = std::max(coverage, static_cast<double>(found) / static_cast<double>(words.size()));
  }
  return std::clamp(best * (1 - kWordWeight) + coverage * kWordWeight, 0.0, 1.0);
}

Retriever::Retriever(storage::StoreManager& stores, vector::IndexCache& indexes, engine::Engine& engine,
                     const access::RoleTable& roles, std::string embedding_model, storage::StorePools& pools,
                     std::function<void(const base::TenantId&)> on_lacking,
                     std::function<std::string()> rerank_model)
    : stores_(stores),
      indexes_(indexes),
      engine_(engine),
      roles_(roles),
      embedding_model_(std::move(embedding_model)),
      pools_(pools),
      on_lacking_(std::move(on_lacking)),
      rerank_model_(std::move(rerank_model)) {}

Task<Result<Retrieval>> Retriever::retrieve(engine::CallContext context, std::string question,
                                            std::vector<base::VectorStoreId> vector_stores,
                                            RetrievalOptions options, std::int64_t& tokens) {
  base::EmbeddingSpace space = engine_.embedding_spaces(embedding_model_).current;
  auto found = co_await retrieve_in(space, context, question, vector_stores, options, tokens);
  const base::EmbeddingSpace now = engine_.embedding_spaces(embedding_model_).current;
  if (!found && now != space) {
    // The model went over to another one between the question and its search.
    found =
        co_await retrieve_in(now, context, std::move(question), std::move(vector_stores), options, tokens);
  }
  if (!found && found.error().is(storage::StorageError::Reindexing)) on_lacking_(context.scope.tenant());
  co_return found;
}

Task<Result<Retrieval>> Retriever::retrieve_in(base::EmbeddingSpace space, engine::CallContext context,
                                               std::string question,
                                               std::vector<base::VectorStoreId> vector_stores,
                                               RetrievalOptions options, std::int64_t& tokens) {
  if (question.empty()) co_return Retrieval{};
  BULKHEAD_CO_TRY(query, co_await embed_question(space, context, question, tokens));
  std::string model = rerank_model_();
  std::size_t chunks_max =
      model.empty() ? options.results_max : std::max(options.results_max, options.rerank_max);
  auto found = co_await storage::on_store(stores_, pools_, context.scope,
                                          {.party = context.scope.tenant().str(), .cancel = context.cancel},
                                          [&](storage::TenantStore& store) {
                                            return search(store, context.scope, question, query, space,
                                                          std::move(vector_stores), options, chunks_max);
                                          });
  if (!found) co_return found.take_error();
  if (!model.empty() && !found->chunks.empty()) {
    BULKHEAD_CO_CHECK_OK(co_await rerank(std::move(context), std::move(model), question, *found, tokens));
    std::size_t kept = std::min(found->chunks.size(), options.results_max);
    found->chunks.erase(found->chunks.begin() + static_cast<std::ptrdiff_t>(kept), found->chunks.end());
  }
  co_return std::move(found);
}

Task<Result<std::vector<float>>> Retriever::embed_question(base::EmbeddingSpace space,
                                                           engine::CallContext context,
                                                           const std::string& question,
                                                           std::int64_t& tokens) {
  std::string head = prefix_of(question, kQuestionBytesMax);
  while (true) {
    auto made = co_await engine_.embed(context, embedding_model_, {head}, space);
    tokens += engine::tokens_read(made, head.size());
    if (made) co_return std::move(made->vectors.at(0));
    // Text of many tokens a byte (hex, base64, Chinese): refused before it costs anything, so a shorter
    // head is tried. A long question is no error of the client's: the model sees all of it.
    const bool shorter =
        made.error().is(engine::EngineError::ContextExceeded) && head.size() > kQuestionBytesMin;
    if (!shorter) co_return made.take_error();
    head = prefix_of(question, head.size() / 2);
  }
}

Task<Result<void>> Retriever::rerank(engine::CallContext context, std::string model,
                                     const std::string& question, Retrieval& found, std::int64_t& tokens) {
  std::size_t question_bytes = kRerankQuestionBytesMax, chunk_bytes = kRerankChunkBytesMax;
  Result<engine::Ranking> ranking = engine::Ranking();
  // A pair that is too long for the model is refused before it costs anything: shorter heads are tried.
  // They are for the order alone; the chat model sees everything.
  while (true) {
    std::size_t bytes = 0;
    std::vector<std::string> texts;
    for (const RetrievedChunk& chunk : found.chunks) {
      std::string text = chunk.chunk.heading.empty() ? "" : chunk.chunk.heading + "\n";
      texts.push_back(prefix_of(text + chunk.chunk.text, chunk_bytes));
      bytes += texts.back().size();
    }
    ranking = co_await engine_.rerank(context, model, prefix_of(question, question_bytes), std::move(texts));
    tokens += engine::tokens_read(ranking, bytes);
    if (ranking || !ranking.error().is(engine::EngineError::ContextExceeded)) break;
    if (chunk_bytes <= kRerankBytesMin) break;
    question_bytes = std::max(question_bytes / 2, kRerankBytesMin);
    chunk_bytes /= 2;
  }
  if (!ranking) co_return ranking.take_error();
  for (std::size_t i = 0; i < found.chunks.size(); ++i) found.chunks[i].rerank_score = ranking->scores[i];
  std::stable_sort(
      found.chunks.begin(), found.chunks.end(),
      [](const RetrievedChunk& a, const RetrievedChunk& b) { return a.rerank_score > b.rerank_score; });
  found.reranked_by = std::move(model);
  co_return Result<void>();
}

Result<Retrieval> Retriever::search(storage::TenantStore& store, const tenancy::TenantScope& scope,
                                    const std::string& question, const std::vector<float>& query,
                                    const base::EmbeddingSpace& space,
                                    std::vector<base::VectorStoreId> vector_stores,
                                    const RetrievalOptions& options, std::size_t chunks_max) {
  if (vector_stores.empty()) {
    BULKHEAD_TRY(defaults, store.default_vector_stores(scope));
    for (const auto& record : defaults) vector_stores.push_back(record.id);
  } else {
    for (const auto& id : vector_stores) BULKHEAD_CHECK_OK(store.get_vector_store(scope, id));
  }
  Retrieval result;
  if (vector_stores.empty()) return result;

  BULKHEAD_TRY(candidates, store.candidates(scope, vector_stores));
  std::vector<base::FileId> files;
  for (const auto& candidate : candidates) {
    if (access::decide_document(roles_, scope.principal(), candidate.owner, candidate.access).allowed) {
      files.push_back(candidate.file);
    }
  }
  result.files_searched = files.size();
  result.files_withheld = candidates.size() - files.size();
  if (files.empty()) return result;

  BULKHEAD_TRY(nearest, vector::search(scope, store, indexes_, space, query, files, options.pool));
  if (nearest.dimensions != 0 && nearest.dimensions != query.size()) {
    return Error(engine::EngineError::BadAnswer,
                 "The embedding model gave a vector of the wrong size. Try again, or tell your operator.",
                 "stored vectors have " + std::to_string(nearest.dimensions) +
                     " dimensions, the embedding model gives " + std::to_string(query.size()));
  }
  std::vector<std::string> words = content_words(question);
  const std::vector<vector::Hit>& by_vector = nearest.hits;
  std::vector<storage::LexicalHit> by_text;
  if (!words.empty()) {
    BULKHEAD_TRY(hits, store.search_text(scope, words, files, options.pool));
    by_text = std::move(hits);
  }

  std::unordered_map<storage::ChunkKey, Fused> fused;
  for (std::size_t rank = 0; rank < by_vector.size(); ++rank) {
    Fused& entry = fused[by_vector[rank].key];
    entry.score += 1 / (kRankConstant + static_cast<double>(rank) + 1);
    entry.similarity = by_vector[rank].score;
  }
  for (std::size_t rank = 0; rank < by_text.size(); ++rank) {
    fused[by_text[rank].key].score += 1 / (kRankConstant + static_cast<double>(rank) + 1);
  }
  std::vector<storage::ChunkKey> order;
  for (const auto& [key, entry] : fused) order.push_back(key);
  std::sort(order.begin(), order.end(), [&](storage::ChunkKey a, storage::ChunkKey b) {
    const Fused& left = fused[a];
    const Fused& right = fused[b];
    if (left.score != right.score) return left.score > right.score;
    if (left.similarity != right.similarity) return left.similarity > right.similarity;
    return a < b;
  });
  if (order.size() > chunks_max * kTwinsFactor) order.resize(chunks_max * kTwinsFactor);

  BULKHEAD_TRY(chunks, store.get_chunks(scope, order));
  if (chunks.size() != order.size()) {
    return Error(storage::StorageError::Busy, "Documents changed during the search. Try again.");
  }
  std::unordered_map<std::string, std::string> names;
  constexpr double kBestPossible = 2 / (kRankConstant + 1);
  std::unordered_map<std::string, std::size_t> known;  // texts, and where they stand in the result
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto twin = known.find(chunks[i].text);
    if (twin == known.end() && result.chunks.size() == chunks_max) continue;
    RetrievedChunk retrieved{.key = order[i],
                             .chunk = std::move(chunks[i]),
                             .file_name = {},
                             .score = fused[order[i]].score / kBestPossible,
                             .similarity = fused[order[i]].similarity};
    auto name = names.find(retrieved.chunk.file.str());
    if (name == names.end()) {
      BULKHEAD_TRY(file, store.get_file(scope, retrieved.chunk.file));
      name = names.emplace(retrieved.chunk.file.str(), file.name).first;
    }
    retrieved.file_name = name->second;
    if (twin != known.end()) {
      result.chunks[twin->second].also_in.push_back(
          {retrieved.chunk.file, std::move(retrieved.file_name), retrieved.chunk.page});
      continue;
    }
    known.emplace(retrieved.chunk.text, result.chunks.size());
    result.chunks.push_back(std::move(retrieved));
  }
  // From the fused order, reranked or not: the threshold was measured with it.
  std::span<const RetrievedChunk> best(result.chunks);
  result.relevance = relevance_of(best.first(std::min(best.size(), options.results_max)), words);
  return result;
}

}  // namespace bulkhead::rag
