#include "rag/piece_embedder.h"

#include "base/log.h"
#include "rag/embedding.h"

namespace bulkhead::rag {

using base::Result;
using base::Task;

namespace {

constexpr int kSplitRoundsMax = 6;

// Pieces that the embedding model accepts: those over its bound are halved until they fit.
Task<Result<std::vector<PieceOfText>>> fitting_pieces(engine::Engine& engine, engine::CallContext context,
                                                      PieceEmbedding how, std::string title,
                                                      std::vector<PieceOfText> pieces) {
  for (int round = 0; round < kSplitRoundsMax; ++round) {
    std::vector<std::string> texts;
    for (const PieceOfText& piece : pieces) texts.push_back(embedding_text(title, piece));
    auto counts = co_await engine.count_tokens(context, how.model, std::move(texts));
    if (!counts) co_return counts.take_error();
    std::vector<PieceOfText> next;
    bool split_any = false;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const bool fits = (*counts)[i] <= static_cast<std::int64_t>(how.chunk_tokens_max);
      std::vector<PieceOfText> halves;
      if (!fits) halves = split_piece(pieces[i]);
      if (halves.size() < 2) {
        next.push_back(std::move(pieces[i]));
      } else {
        split_any = true;
        for (PieceOfText& half : halves) next.push_back(std::move(half));
      }
    }
    pieces = std::move(next);
    if (!split_any) break;
  }
  co_return std::move(pieces);
}

storage::Chunk chunk_of(PieceOfText piece, const std::string& title, base::FileId file,
                        std::uint32_t ordinal) {
  std::string heading = title;
  if (!piece.heading.empty() && piece.heading != title) heading += " > " + piece.heading;
  return {.file = std::move(file),
          .ordinal = ordinal,
          .text = std::move(piece.text),
          .heading = std::move(heading),
          .page = piece.page,
          .begin = piece.begin,
          .end = piece.end};
}

}  // namespace

Task<Result<void>> embed_window(engine::Engine& engine, engine::CallContext context, PieceEmbedding how,
                                base::FileId file, std::string title, std::vector<PieceOfText> window,
                                EmbeddedDocument& out) {
  auto pieces = co_await fitting_pieces(engine, context, how, title, std::move(window));
  if (!pieces) co_return pieces.take_error();
  std::vector<std::string> texts;
  for (const PieceOfText& piece : *pieces) texts.push_back(embedding_text(title, piece));
  const engine::EmbeddingSpaces spaces = engine.embedding_spaces(how.model);
  std::vector<storage::ChunkVectors> vectors(pieces->size());
  for (const base::EmbeddingSpace& space : wanted_spaces(spaces)) {
    const bool is_next = space != spaces.current;
    auto made = co_await embed_texts(engine, context, how.model, texts, space, how.batch,
                                     is_next ? TooLong::EmbedHead : TooLong::Refuse);
    if (!made && is_next) {
      base::log::warning("ingest_without_next_model", {{"file", std::string_view(context.request_id)},
                                                       {"error", made.error().name().code}});
      continue;
    }
    if (!made) co_return made.take_error();
    for (std::size_t i = 0; i < vectors.size(); ++i) vectors[i].push_back({space, std::move((*made)[i])});
  }
  for (std::size_t i = 0; i < pieces->size(); ++i) {
    const auto ordinal = static_cast<std::uint32_t>(out.chunks.size());
    out.chunks.push_back(chunk_of(std::move((*pieces)[i]), title, file, ordinal));
    out.vectors.push_back(std::move(vectors[i]));
  }
  co_return Result<void>();
}

}  // namespace bulkhead::rag
