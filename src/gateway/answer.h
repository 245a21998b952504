// Answers of POST /v1/chat/completions and POST /v1/completions in OpenAI's shapes, with one member of
// our own in chats, "bulkhead": the retrieval manifest and where to get the burn receipt. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "rag/composer.h"

namespace bulkhead::gateway {

enum class AnswerShape { Chat, Text };  // Text: the older form of /v1/completions

struct AnswerHead {
  AnswerShape shape = AnswerShape::Chat;
  std::string id;  // "chatcmpl-…", "cmpl-…"
  std::string model;
  std::int64_t created = 0;
  std::string request_id;
  std::size_t choices = 1;
  bool usage_null = false;  // the client asked for usage, so every chunk but the last says null
  // The text is ours and says why there is no answer, where the client asked for JSON: OpenAI's
  // `refusal` member, since words that don't fit the schema must not stand in for it.
  bool refusal = false;
  // Retrieval: outcome "off", "answered", "below_threshold", "nothing_readable".
  std::string outcome;
  double relevance = 0, threshold = 0;
  std::string reranked_by;  // id of the rerank model; "" for none
  std::vector<rag::Citation> citations;
};

std::string completion_json(const AnswerHead& head, const engine::Completion& completion);

// Stream chunks. `last`: the one that carries the "bulkhead" member.
std::string role_chunk(const AnswerHead& head, std::size_t choice);
std::string piece_chunk(const AnswerHead& head, const engine::Piece& piece, std::size_t calls_before);
std::string finish_chunk(const AnswerHead& head, std::size_t choice, const engine::Choice& end, bool last);
std::string usage_chunk(const AnswerHead& head, const engine::Usage& usage);

}  // namespace bulkhead::gateway
