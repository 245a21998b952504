// What ingest and re-embedding do alike: which spaces a document's vectors are to be of, and making them.
#pragma once

#include <string>
#include <vector>

#include "base/embedding_space.h"
#include "base/task.h"
#include "engine/engine.h"
#include "storage/store.h"

namespace bulkhead::rag {

// By space, none twice; one of a space that is not known when the engine has no such model.
std::vector<base::EmbeddingSpace> wanted_spaces(const engine::EmbeddingSpaces& spaces);

// What is embedded of a chunk that is stored: the same text as when its file was ingested.
std::string embedding_text(const storage::Chunk& chunk);

enum class TooLong { Refuse, EmbedHead };

// In one space, in the order of `texts`, `batch` at a time. With EmbedHead a text that is too long for the
// model is cut until it fits: its vector then speaks of its head, and only its words of all of it.
base::Task<base::Result<std::vector<std::vector<float>>>> embed_texts(
    engine::Engine& engine, engine::CallContext context, std::string model, std::vector<std::string> texts,
    base::EmbeddingSpace space, std::size_t batch, TooLong too_long);

}  // namespace bulkhead::rag
