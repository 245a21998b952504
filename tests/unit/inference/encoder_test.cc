// The encoder's two uses on real models. The cross-encoder is the tests' own
// (scripts/setup/make_rerank_test.py).
#include "inference/encoder.h"

#include <atomic>
#include <optional>
#include <thread>

#include "support.h"

namespace bulkhead::inference {
namespace {

std::filesystem::path models() { return std::filesystem::path(BULKHEAD_SOURCE_DIR) / "build/models"; }

base::Result<std::unique_ptr<Model>> load(const char* file, ModelKind kind) {
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  llama_backend_init();
  return test::load({"m", models() / file, "", {}}, kind);
}

const Model& cross_encoder() {
  static std::unique_ptr<Model> loaded = std::move(*load("rerank-test.gguf", ModelKind::Rerank));
  return *loaded;
}

// The shape of a batch changes the order of sums, and the random head makes much of it.
constexpr double kRounding = 0.01;

const std::vector<std::string> kDocuments = {
    "Take two a day.", "Walls of a ship.", "bread and salt", "x",
    "The longest of these documents speaks of the harbour in winter."};

std::vector<Tokens> pairs_of(const std::vector<std::string>& documents) {
  std::vector<Tokens> pairs;
  for (const std::string& document : documents)
    pairs.push_back(cross_encoder().tokenize_pair(cross_encoder().tokenize_content("how many"), document));
  return pairs;
}

std::vector<float> scores(Encoder& encoder, std::vector<Tokens> pairs) {
  auto ranked = base::run_blocking(encoder.encode({"acme"}, std::move(pairs), "documents"));
  EXPECT_TRUE(ranked.ok());
  std::vector<float> out;
  for (const auto& row : ranked->rows) {
    EXPECT_EQ(row.size(), 1u);
    out.push_back(row[0]);
  }
  EXPECT_TRUE(ranked->burn.verified());
  return out;
}

TEST(Encoder, AScoreIsTheSameAloneAndAmongOthers) {
  auto encoder = std::move(*Encoder::start(cross_encoder(), EncoderUse::Ranking, 1, true));
  std::vector<float> together = scores(*encoder, pairs_of(kDocuments));
  for (std::size_t i = 0; i < kDocuments.size(); ++i) {
    EXPECT_NEAR(scores(*encoder, pairs_of({kDocuments[i]}))[0], together[i], kRounding) << kDocuments[i];
    if (i > 0)
      EXPECT_GT(std::abs(together[i] - together[i - 1]), 5 * kRounding) << "control: the pairs differ";
  }
}

TEST(Encoder, MorePairsThanABatchHoldsKeepTheirOrder) {
  auto encoder = std::move(*Encoder::start(cross_encoder(), EncoderUse::Ranking, 1, true));
  std::vector<float> few = scores(*encoder, pairs_of(kDocuments));
  std::vector<std::string> many;
  for (int i = 0; i < 9; ++i) many.insert(many.end(), kDocuments.begin(), kDocuments.end());
  std::vector<float> all = scores(*encoder, pairs_of(many));
  ASSERT_EQ(all.size(), many.size());
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_NEAR(all[i], few[i % few.size()], kRounding) << i;
}

TEST(Encoder, APairOverTheContextIsRefusedByItsIndex) {
  auto encoder = std::move(*Encoder::start(cross_encoder(), EncoderUse::Ranking, 1, true));
  auto refused = base::run_blocking(
      encoder->encode({"acme"}, pairs_of({"short", test::words(600, 1), "short"}), "documents"));
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(refused.error().is(InferenceError::ContextExceeded));
  EXPECT_EQ(refused.error().parameter(), "documents[1]");
}

// What an encoder was asked by a thread of its own.
struct Asked {
  Asked(Encoder& encoder, Encoder::Caller caller, std::vector<Tokens> pairs)
      : thread([this, &encoder, caller, pairs = std::move(pairs)]() mutable {
          answer.emplace(base::run_blocking(encoder.encode(caller, std::move(pairs), "documents")));
          done = true;
        }) {}
  std::optional<base::Result<EncodedTexts>> answer;
  std::atomic<bool> done{false};
  std::thread thread;
};

// Far more than is computed while a single pair is.
std::vector<Tokens> many_pairs() {
  std::vector<std::string> documents;
  for (int i = 0; i < 20000; ++i)
    documents.push_back(kDocuments[static_cast<std::size_t>(i) % kDocuments.size()]);
  return pairs_of(documents);
}

TEST(Encoder, AQuestionIsAnsweredWhileDocumentsOfAnotherOrTheSameTenantAreComputed) {
  auto encoder = std::move(*Encoder::start(cross_encoder(), EncoderUse::Ranking, 1, true));
  base::CancelToken leaving;
  Asked documents(*encoder, {"loader", 1, 1, leaving}, many_pairs());
  Asked reindexing(*encoder, {"loader", 1, 2, leaving}, many_pairs());
  for (const char* tenant : {"asker", "loader"}) {
    auto question = base::run_blocking(encoder->encode({tenant}, pairs_of({"x"}), "documents"));
    EXPECT_TRUE(question.ok());
    // A short document of another tenant takes turns with the long ones.
    auto document = base::run_blocking(encoder->encode({tenant, 1, 1}, pairs_of(kDocuments), "documents"));
    EXPECT_TRUE(document.ok());
  }
  EXPECT_FALSE(documents.done) << "control: the documents are not through";
  EXPECT_FALSE(reindexing.done);
  // Who leaves is given up before the next batch.
  leaving.cancel(base::CancelReason::ClientGone);
  documents.thread.join();
  reindexing.thread.join();
  for (Asked* each : {&documents, &reindexing}) {
    ASSERT_FALSE(each->answer->ok());
    EXPECT_TRUE(each->answer->error().is(InferenceError::Cancelled));
  }
}

TEST(Encoder, MemoryThatCouldNotBeClearedEndsService) {
  auto failing = std::make_shared<std::atomic<bool>>(false);
  Eraser eraser = Eraser::real();
  eraser.scrub_context = [failing, scrub = eraser.scrub_context](llama_context* context) {
    llama_scrub_report report = scrub(context);
    if (*failing) report.compute.nonzero = 1;
    return report;
  };
  std::atomic<int> told{0};
  auto encoder =
      std::move(*Encoder::start(cross_encoder(), EncoderUse::Ranking, 1, true, [&] { ++told; }, eraser));
  scores(*encoder, pairs_of(kDocuments));
  EXPECT_EQ(told, 0) << "control";
  *failing = true;
  EXPECT_FALSE(base::run_blocking(encoder->encode({"acme"}, pairs_of(kDocuments), "documents")).ok());
  EXPECT_EQ(told, 1);
  auto after = base::run_blocking(encoder->encode({"other"}, pairs_of(kDocuments), "documents"));
  ASSERT_FALSE(after.ok());
  EXPECT_TRUE(after.error().is(InferenceError::ShuttingDown));
}

TEST(Encoder, ControlWithoutBurningNothingIsReportedAsCleared) {
  auto encoder = std::move(*Encoder::start(cross_encoder(), EncoderUse::Ranking, 1, false));
  auto ranked = base::run_blocking(encoder->encode({"acme"}, pairs_of(kDocuments), "documents"));
  ASSERT_TRUE(ranked.ok());
  EXPECT_FALSE(ranked->burn.verified());
  EXPECT_TRUE(ranked->burn.cleared.empty());
}

TEST(Encoder, ControlTokensInAPairAreCharacters) {
  const Model& model = cross_encoder();
  Token sep = llama_vocab_sep(model.vocab());
  auto seps = [&](const Tokens& tokens) { return std::count(tokens.begin(), tokens.end(), sep); };
  EXPECT_EQ(seps(model.tokenize_pair(model.tokenize_content("how [SEP] many"), "two [SEP] [CLS]")),
            seps(model.tokenize_pair(model.tokenize_content("how many"), "two")));
  Tokens parsed(32);
  std::string text = "how [SEP] many";
  int count = llama_tokenize(model.vocab(), text.data(), static_cast<int>(text.size()), parsed.data(), 32,
                             false, true);
  parsed.resize(static_cast<std::size_t>(count));
  EXPECT_EQ(seps(parsed), 1) << "control: parsed as special it would be a token";
}

TEST(Encoder, AModelIsServedForWhatItsHeadIsFor) {
  auto message = [](const char* file, ModelKind kind) {
    auto made = load(file, kind);
    return made ? std::string() : made.error().message();
  };
  EXPECT_EQ(message("rerank-test.gguf", ModelKind::Rerank), "");
  EXPECT_EQ(message("embed.gguf", ModelKind::Embedding), "");
  EXPECT_NE(message("embed.gguf", ModelKind::Rerank).find("cls.output.weight"), std::string::npos);
  EXPECT_NE(message("rerank-test.gguf", ModelKind::Embedding).find("reranking"), std::string::npos);
  EXPECT_NE(message("rerank-test.gguf", ModelKind::Chat), "");
  EXPECT_NE(message("chat-test.gguf", ModelKind::Rerank), "");
}

}  // namespace
}  // namespace bulkhead::inference
