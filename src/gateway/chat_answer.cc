#include "gateway/chat_answer.h"

#include "base/json.h"

namespace bulkhead::gateway {

namespace json = base::json;

namespace {

void write_usage(json::Writer& w, const engine::Usage& usage) {
  w.begin_object()
      .member("prompt_tokens", usage.prompt_tokens)
      .member("completion_tokens", usage.completion_tokens)
      .member("total_tokens", usage.prompt_tokens + usage.completion_tokens)
      .end_object();
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
  w.begin_object().key("retrieval");
  rag::write_manifest(w, head.outcome, head.relevance, head.threshold, head.citations);
  w.member("burn_receipt", "/v1/bulkhead/receipts/" + head.request_id).end_object();
}

json::Writer begin(const AnswerHead& head, std::string_view object) {
  json::Writer w;
  w.begin_object()
      .member("id", head.id)
      .member("object", object)
      .member("created", head.created)
      .member("model", head.model);
  return w;
}

template <typename WriteDelta>
std::string chunk(const AnswerHead& head, bool usage_null, std::string_view finish_reason,
                  bool extension, WriteDelta write_delta) {
  json::Writer w = begin(head, "chat.completion.chunk");
  w.key("choices").begin_array().begin_object().member("index", 0).key("delta").begin_object();
  write_delta(w);
  w.end_object().key("logprobs").null().key("finish_reason");
  if (finish_reason.empty()) {
    w.null();
  } else {
    w.value(finish_reason);
  }
  w.end_object().end_array();
  if (usage_null) w.key("usage").null();
  if (extension) {
    w.key("bulkhead");
    write_extension(w, head);
  }
  w.end_object();
  return w.take();
}

}  // namespace

std::string completion_json(const AnswerHead& head, const engine::Completion& completion) {
  json::Writer w = begin(head, "chat.completion");
  w.key("choices").begin_array().begin_object().member("index", 0);
  w.key("message").begin_object().member("role", "assistant").member("content", completion.text);
  w.key("refusal").null().key("annotations");
  write_annotations(w, head.citations);
  w.end_object().key("logprobs").null().member("finish_reason", completion.finish_reason);
  w.end_object().end_array().key("usage");
  write_usage(w, completion.usage);
  w.key("bulkhead");
  write_extension(w, head);
  w.end_object();
  return w.take();
}

std::string role_chunk(const AnswerHead& head, bool usage_null) {
  return chunk(head, usage_null, "", false, [](json::Writer& w) {
    w.member("role", "assistant").member("content", "").key("refusal").null();
  });
}

std::string text_chunk(const AnswerHead& head, std::string_view text, bool usage_null) {
  return chunk(head, usage_null, "", false, [text](json::Writer& w) { w.member("content", text); });
}

std::string finish_chunk(const AnswerHead& head, std::string_view finish_reason, bool usage_null) {
  return chunk(head, usage_null, finish_reason, true, [&head](json::Writer& w) {
    if (head.citations.empty()) return;
    w.key("annotations");
    write_annotations(w, head.citations);
  });
}

std::string usage_chunk(const AnswerHead& head, const engine::Usage& usage) {
  json::Writer w = begin(head, "chat.completion.chunk");
  w.key("choices").begin_array().end_array().key("usage");
  write_usage(w, usage);
  w.end_object();
  return w.take();
}

}  // namespace bulkhead::gateway
