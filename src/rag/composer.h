// Composer: lays retrieved chunks into a prompt as marked data, inside the token budget, and says
// what it used.
//
// The order of authority is the platform's instructions, the tenant's system prompt, the request's
// own system messages, the user's words, the documents (AISVS 2.1.6): documents stand inside the
// user's turn between markers that carry a nonce new for each request, so that no document can close
// its own frame, and the instruction says that what stands between the markers is data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/engine.h"
#include "rag/retriever.h"

namespace bulkhead::rag {

struct ComposeOptions {
  std::string tenant_prompt;  // from the tenant's policy; may be empty
  std::string nonce;          // at least 64 random bits
  std::int64_t context_tokens = 0;
  std::int64_t answer_tokens = 0;  // kept free for the answer
};

struct Citation {
  std::size_t index = 0;  // "[1]" in the prompt
  std::string file_id;
  std::string file_name;
  std::uint32_t ordinal = 0;
  std::uint32_t page = 0;
  std::uint32_t begin = 0, end = 0;
  std::string heading;
  double score = 0;
  double similarity = 0;
  std::vector<RetrievedChunk::Place> also_in;
};

// The member "also_in" of a passage: the other places where it stands, if there are some.
void write_also_in(base::json::Writer& writer, const std::vector<RetrievedChunk::Place>& places);

struct Composition {
  std::vector<engine::Message> messages;
  std::vector<Citation> citations;  // chunks that are in the prompt, in prompt order
  std::size_t left_out = 0;         // retrieved, but over the budget
};

// The text of one chunk as it stands in the prompt; what count_tokens is asked about.
std::string source_text(std::size_t index, const RetrievedChunk& chunk, const std::string& nonce);

// `chunk_tokens[i]` are the tokens of source_text(i + 1, chunks[i]); `message_tokens` those of all
// the request's messages together. Chunks are taken best first while they fit; when the messages
// alone don't fit, nothing is cut: the engine refuses with the figures (AISVS 2.1.4).
Composition compose(const std::vector<engine::Message>& request, const std::vector<RetrievedChunk>& chunks,
                    const std::vector<std::int64_t>& chunk_tokens, std::int64_t message_tokens,
                    const ComposeOptions& options);

// Without documents: the tenant's prompt and the request's messages.
std::vector<engine::Message> compose_plain(const std::vector<engine::Message>& request,
                                           const std::string& tenant_prompt);

// The retrieval manifest as it stands in an answer: mode, relevance, threshold, sources.
void write_manifest(base::json::Writer& writer, std::string_view outcome, double relevance, double threshold,
                    std::string_view reranked_by, const std::vector<Citation>& citations);

}  // namespace bulkhead::rag
