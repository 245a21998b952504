#include "gateway/answer.h"

#include "base/json.h"
#include "engine/openai_body.h"

namespace bulkhead::gateway {

namespace json = base::json;

namespace {

void write_usage(json::Writer& w, const engine::Usage& usage) {
  w.begin_object()
      .member("prompt_tokens", usage.prompt_tokens)
      .member("completion_tokens", usage.completion_tokens)
      .member("total_tokens", usage.prompt_tokens + usage.completion_tokens);
  if (usage.cached_tokens) {
    w.key("prompt_tokens_details").begin_object().member("cached_tokens", *usage.cached_tokens).end_object();
  }
  w.end_object();
}

// From retrieval metadata, never from the model's words (AISVS 7.4.1).
void write_annotations(json::Writer& w, const std::vector<rag::Citation>& citations) {
  w.begin_array();
  for (const rag::Citation& citation : citations) {
    w.begin_object()
        .member("type", "file_citation")
        .member("index", static_cast<std::uint64_t>(citation.index))
        .member("file_id", citation.file_id)
        .member("filename", citation.file_name)
        .end_object();
  }
  w.end_array();
}

void write_extension(json::Writer& w, const AnswerHead& head) {
  w.key("bulkhead").begin_object();
  if (head.shape == AnswerShape::Chat) {
    w.key("retrieval");
    rag::write_manifest(w, head.outcome, head.relevance, head.threshold, head.reranked_by, head.citations);
  }
  w.member("burn_receipt", "/v1/bulkhead/receipts/" + head.request_id).end_object();
}

void write_or_null(json::Writer& w, std::string_view key, const std::string& raw) {
  w.key(key);
  if (raw.empty()) {
    w.null();
  } else {
    w.raw(raw);
  }
}

json::Writer begin(const AnswerHead& head, bool chunk) {
  std::string_view object = head.shape == AnswerShape::Text ? "text_completion"
                            : chunk                         ? "chat.completion.chunk"
                                                            : "chat.completion";
  json::Writer w;
  w.begin_object()
      .member("id", head.id)
      .member("object", object)
      .member("created", head.created)
      .member("model", head.model);
  return w;
}

void write_message(json::Writer& w, const AnswerHead& head, const engine::Choice& choice) {
  w.key("message").begin_object().member("role", "assistant").key("content");
  if (head.refusal || (choice.text.empty() && !choice.tool_calls.empty())) {
    w.null();
  } else {
    w.value(choice.text);
  }
  w.key("refusal");
  if (head.refusal) {
    w.value(choice.text);
  } else {
    w.null();
  }
  if (!choice.tool_calls.empty()) {
    w.key("tool_calls");
    engine::wire::write_tool_calls(w, choice.tool_calls);
  }
  w.key("annotations");
  write_annotations(w, head.citations);
  w.end_object();
}

struct Chunk {
  std::size_t choice = 0;
  std::string_view finish_reason;
  const std::string& logprobs;
  bool last = false;
};

// `write_content` writes the delta's members (chat) or the text member (text).
template <typename WriteContent>
std::string chunk_json(const AnswerHead& head, const Chunk& chunk, WriteContent write_content) {
  json::Writer w = begin(head, true);
  w.key("choices").begin_array().begin_object();
  w.member("index", static_cast<std::uint64_t>(chunk.choice));
  if (head.shape == AnswerShape::Chat) w.key("delta").begin_object();
  write_content(w);
  if (head.shape == AnswerShape::Chat) w.end_object();
  write_or_null(w, "logprobs", chunk.logprobs);
  w.key("finish_reason");
  if (chunk.finish_reason.empty()) {
    w.null();
  } else {
    w.value(chunk.finish_reason);
  }
  w.end_object().end_array();
  if (head.usage_null) w.key("usage").null();
  if (chunk.last) write_extension(w, head);
  w.end_object();
  return w.take();
}

void write_call_deltas(json::Writer& w, const engine::Piece& piece, std::size_t calls_before) {
  w.key("tool_calls").begin_array();
  for (std::size_t i = 0; i < piece.tool_calls.size(); ++i) {
    const engine::ToolCall& call = piece.tool_calls[i];
    w.begin_object().member("index", static_cast<std::uint64_t>(calls_before + i));
    w.member("id", call.id).member("type", "function").key("function").begin_object();
    w.member("name", call.name).member("arguments", call.arguments).end_object().end_object();
  }
  w.end_array();
}

const std::string kNoLogprobs;

}  // namespace

std::string completion_json(const AnswerHead& head, const engine::Completion& completion) {
  json::Writer w = begin(head, false);
  w.key("choices").begin_array();
  for (std::size_t i = 0; i < completion.choices.size(); ++i) {
    const engine::Choice& choice = completion.choices[i];
    w.begin_object().member("index", static_cast<std::uint64_t>(i));
    if (head.shape == AnswerShape::Text) {
      w.member("text", choice.text);
    } else {
      write_message(w, head, choice);
    }
    write_or_null(w, "logprobs", choice.logprobs);
    w.member("finish_reason", engine::finish_reason_name(choice.finish_reason)).end_object();
  }
  w.end_array().key("usage");
  write_usage(w, completion.usage);
  write_extension(w, head);
  w.end_object();
  return w.take();
}

std::string role_chunk(const AnswerHead& head, std::size_t choice) {
  return chunk_json(head, {choice, "", kNoLogprobs}, [](json::Writer& w) {
    w.member("role", "assistant").member("content", "").key("refusal").null();
  });
}

std::string piece_chunk(const AnswerHead& head, const engine::Piece& piece, std::size_t calls_before) {
  return chunk_json(head, {piece.choice, "", piece.logprobs}, [&](json::Writer& w) {
    if (head.shape == AnswerShape::Text) {
      w.member("text", piece.text);
      return;
    }
    bool words = !piece.text.empty() || !piece.logprobs.empty();
    if (words) w.member(head.refusal ? "refusal" : "content", piece.text);
    if (!piece.tool_calls.empty()) write_call_deltas(w, piece, calls_before);
  });
}

std::string finish_chunk(const AnswerHead& head, std::size_t choice, const engine::Choice& end, bool last) {
  return chunk_json(head, {choice, engine::finish_reason_name(end.finish_reason), kNoLogprobs, last},
                    [&](json::Writer& w) {
                      if (head.shape == AnswerShape::Text) {
                        w.member("text", "");
                        return;
                      }
                      if (head.citations.empty()) return;
                      w.key("annotations");
                      write_annotations(w, head.citations);
                    });
}

std::string usage_chunk(const AnswerHead& head, const engine::Usage& usage) {
  json::Writer w = begin(head, true);
  w.key("choices").begin_array().end_array().key("usage");
  write_usage(w, usage);
  w.end_object();
  return w.take();
}

}  // namespace bulkhead::gateway
