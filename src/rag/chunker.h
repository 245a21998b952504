// Cuts a document along its own structure into pieces for embedding and citation. Pure functions.
//
// A piece never crosses a heading, except that headings with nothing below them open the next piece.
// Whole blocks stay together as long as they fit; a longer one is cut at sentences, else at words.
// No piece is longer than kPieceBytesMax, and most have 100 to 150 English words.
//
// Invariant: with `whole` the blocks' texts joined by "\n\n", text == whole.substr(begin, end - begin).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "rag/extractor.h"

namespace bulkhead::rag {

inline constexpr std::size_t kPieceBytesMax = 900;

struct PieceOfText {
  std::string text;
  std::string heading;  // path of headings above it: "Dosage > Adults"
  std::uint32_t page = 0;
  std::uint32_t begin = 0;  // byte offsets into the blocks joined by "\n\n", [begin, end)
  std::uint32_t end = 0;
};

std::vector<PieceOfText> chunk_document(const ExtractedDocument& document);
// What is embedded and indexed: where the piece stands, then what it says.
std::string embedding_text(const std::string& title, const PieceOfText& piece);
// Two parts, cut near the middle at a block's, sentence's or word's end, for a piece that the embedding
// model finds too long. One piece back: it can't be cut.
std::vector<PieceOfText> split_piece(const PieceOfText& piece);

}  // namespace bulkhead::rag
