// From the pieces of a document to chunks with vectors, a window of pieces at a time, so that each step at
// the embedding model is small and somebody else's turn can come between two.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/task.h"
#include "engine/engine.h"
#include "rag/chunker.h"
#include "storage/store.h"

namespace bulkhead::rag {

// What has been made of a document so far; vectors[i] belongs to chunks[i].
struct EmbeddedDocument {
  std::vector<storage::Chunk> chunks;
  std::vector<storage::ChunkVectors> vectors;
};

struct PieceEmbedding {
  std::string model;
  std::size_t chunk_tokens_max = 0;  // pieces with more are halved
  std::size_t batch = 0;             // texts of one request to the model
};

// Appends the window's chunks in all spaces that the model is in now: two while another model takes its
// place. The next one's vectors are not waited for when it fails: they are made up for before anybody is sent
// there.
base::Task<base::Result<void>> embed_window(engine::Engine& engine, engine::CallContext context,
                                            PieceEmbedding how, base::FileId file, std::string title,
                                            std::vector<PieceOfText> window, EmbeddedDocument& out);

}  // namespace bulkhead::rag
