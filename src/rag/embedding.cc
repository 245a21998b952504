#include "rag/embedding.h"

#include <algorithm>

#include "rag/chunker.h"

namespace bulkhead::rag {

using base::Result;
using base::Task;

namespace {

using Vectors = std::vector<std::vector<float>>;
constexpr std::size_t kTextBytesMin = 64;

// Not inside a character.
std::string head_of(const std::string& text, std::size_t bytes) {
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

Task<Result<Vectors>> embed_head(engine::Engine& engine, engine::CallContext context, std::string model,
                                 std::string text, base::EmbeddingSpace space) {
  while (true) {
    auto made = co_await engine.embed(context, model, {text}, space);
    const bool shorter =
        !made && made.error().is(engine::EngineError::ContextExceeded) && text.size() > kTextBytesMin;
    if (!shorter) {
      if (!made) co_return made.take_error();
      co_return std::move(made->vectors);
    }
    text = head_of(text, text.size() / 2);
  }
}

}  // namespace

std::vector<base::EmbeddingSpace> wanted_spaces(const engine::EmbeddingSpaces& spaces) {
  std::vector<base::EmbeddingSpace> wanted{spaces.current};
  if (spaces.next && *spaces.next != spaces.current) wanted.push_back(*spaces.next);
  std::sort(wanted.begin(), wanted.end());
  return wanted;
}

// The heading of a stored chunk begins with the document's title.
std::string embedding_text(const storage::Chunk& chunk) {
  PieceOfText piece;
  piece.heading = chunk.heading;
  piece.text = chunk.text;
  return embedding_text("", piece);
}

Task<Result<Vectors>> embed_texts(engine::Engine& engine, engine::CallContext context, std::string model,
                                  std::vector<std::string> texts, base::EmbeddingSpace space,
                                  std::size_t batch, TooLong too_long) {
  Vectors vectors;
  for (std::size_t begin = 0; begin < texts.size(); begin += batch) {
    const std::size_t end = std::min(texts.size(), begin + batch);
    std::vector<std::string> some(texts.begin() + static_cast<std::ptrdiff_t>(begin),
                                  texts.begin() + static_cast<std::ptrdiff_t>(end));
    auto made = co_await engine.embed(context, model, some, space);
    const bool each_alone =
        !made && too_long == TooLong::EmbedHead && made.error().is(engine::EngineError::ContextExceeded);
    if (!made && !each_alone) co_return made.take_error();
    if (made) {
      for (auto& vector : made->vectors) vectors.push_back(std::move(vector));
      continue;
    }
    for (std::string& text : some) {
      auto one = co_await embed_head(engine, context, model, std::move(text), space);
      if (!one) co_return one.take_error();
      vectors.push_back(std::move(one->at(0)));
    }
  }
  co_return vectors;
}

}  // namespace bulkhead::rag
