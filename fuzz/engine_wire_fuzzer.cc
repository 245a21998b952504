// Answers of an engine, which may be a stranger's server: what is accepted has the promised form,
// what is not gives a clear error, and no word of the upstream's goes to a client.
#include <cmath>

#include "check.h"
#include "engine/openai_wire.h"
#include "engine/stream_reader.h"

namespace {

using namespace bulkhead;
using fuzz::require;

void check_error(const base::Error& error) {
  fuzz::require_told(error);
  require(error.as<engine::EngineError>().has_value(), "an error is one of the engine's own");
}

void check_vectors(std::string_view text) {
  for (std::size_t expected : {1u, 2u}) {
    auto vectors = engine::wire::parse_embeddings(text, expected);
    if (!vectors) {
      check_error(vectors.error());
      continue;
    }
    require(vectors->vectors.size() == expected, "there are as many vectors as asked for");
    for (const auto& vector : vectors->vectors) {
      double norm = 0;
      for (float x : vector) {
        require(std::isfinite(x), "a vector holds numbers");
        norm += static_cast<double>(x) * x;
      }
      require(std::abs(norm - 1) < 1e-3, "a vector has unit length");
    }
  }
}

void check_chunks(std::string_view text, bool raw_prompt) {
  constexpr std::size_t kChoices = 2;
  engine::wire::StreamReader reader(kChoices, raw_prompt);
  while (!text.empty() && !reader.done()) {
    auto read = reader.feed(fuzz::take_line(text));
    if (!read) return check_error(read.error());
    while (auto piece = reader.next())
      require(piece->choice < kChoices, "a piece is of a choice that was asked for");
  }
  require(reader.result().usage.completion_tokens >= 0, "counts are not negative");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = fuzz::text_of(data, size);
  if (auto completion = engine::wire::parse_completion(text, 1, false)) {
    require(completion->choices.size() == 1, "there are as many choices as asked for");
    require(completion->usage.prompt_tokens >= 0 && completion->usage.completion_tokens >= 0,
            "counts are not negative");
  } else {
    check_error(completion.error());
  }
  check_vectors(text);
  check_chunks(text, false);
  check_chunks(text, true);
  if (auto counts = engine::wire::parse_token_counts(text, 2)) {
    require(counts->size() == 2, "there are as many counts as asked for");
    for (std::int64_t count : *counts) require(count >= 0, "counts are not negative");
  } else {
    check_error(counts.error());
  }
  if (auto models = engine::wire::parse_models(text)) {
    require(models->size() <= 256, "models stay in their bound");
    for (const engine::ModelInfo& model : *models) {
      require(model.context >= 0 && model.dimensions >= 0, "sizes are not negative");
    }
  } else {
    check_error(models.error());
  }
  for (int status : {400, 404, 413, 418, 429, 500, 503}) {
    auto error = engine::wire::read_error(status, text);
    check_error(error);
    // Only digits of a context's size may come from the upstream.
    base::Error plain = engine::wire::read_error(status, "");
    bool same = error.message() == plain.message();
    require(same || error.is(engine::EngineError::ContextExceeded), "an upstream's words stay inside");
  }
  return 0;
}
