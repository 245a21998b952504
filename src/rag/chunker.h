// Cuts a document along its own structure into pieces for embedding and citation. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rag/extractor.h"

namespace bulkhead::rag {

struct PieceOfText {
  std::string text;
  std::string heading;       // path of headings above it: "Dosage > Adults"
  std::uint32_t page = 0;
  std::uint32_t begin = 0;   // byte offsets into the blocks joined by "\n\n", [begin, end)
  std::uint32_t end = 0;
};

std::vector<PieceOfText> chunk_document(const ExtractedDocument& document);
// What is embedded and indexed: where the piece stands, then what it says.
std::string embedding_text(const std::string& title, const PieceOfText& piece);
// Halves at a sentence or word border, for a piece that the embedding model finds too long.
std::vector<PieceOfText> split_piece(const PieceOfText& piece);

}  // namespace bulkhead::rag
