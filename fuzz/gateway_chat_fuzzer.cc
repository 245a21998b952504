// Chat bodies from clients: an accepted one is within its bounds, in clean text, and what goes on to
// the engine means what was read.
#include "base/json.h"
#include "check.h"
#include "engine/openai_body.h"
#include "gateway/chat_request.h"
#include "gateway/dto.h"

namespace {

using namespace bulkhead;
using fuzz::require;
namespace json = base::json;

void check(const gateway::ChatBody& body) {
  const engine::ChatRequest& request = body.request;
  require(!request.messages.empty() && request.messages.size() <= 512, "messages stay in their bound");
  require(!body.question.empty(), "there is a question");
  for (const engine::Message& message : request.messages) {
    require(message.role == "system" || message.role == "user" || message.role == "assistant" ||
                message.role == "tool",
            "a role is one of four");
    auto checked = guard::check_text(message.content, guard::SmugglingPolicy::Clean);
    require(checked.ok() && checked->text == message.content, "contents are clean text");
  }
  require(request.stop.size() <= 4, "stops stay in their bound");
  for (const std::string& stop : request.stop) require(!stop.empty(), "no stop is empty");
  require(!request.max_tokens || *request.max_tokens >= 1, "max_tokens is positive");
  require(!request.temperature || (*request.temperature >= 0 && *request.temperature <= 2),
          "temperature is in range");
  require(!request.top_p || (*request.top_p >= 0 && *request.top_p <= 1), "top_p is in range");
  require(!body.stream_options.include_usage || request.stream, "usage is streamed in streams");
  require(json::Document::parse(body.metadata_json).ok(), "metadata is JSON");
}

// The engine's body says the same.
void check_forwarded(const gateway::ChatBody& body) {
  auto forwarded = json::Document::parse(engine::wire::generation_body(body.request));
  require(forwarded.ok(), "the engine's body is JSON");
  json::Value messages = forwarded->root()["messages"];
  require(messages.size() == body.request.messages.size(), "all messages go on");
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const engine::Message& message = body.request.messages[i];
    bool said = messages.at(i)["content"].as_string().value_or("") == message.content;
    require(messages.at(i)["role"].as_string() == message.role && said, "a message goes on as it was read");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  http::Request request;
  request.headers.set("content-type", "application/json");
  request.body = fuzz::text_of(data, size);
  auto document = gateway::read_json_object(request);
  if (!document) {
    fuzz::require_told(document.error());
    return 0;
  }
  auto body = gateway::parse_chat_body(document->root());
  if (!body) {
    fuzz::require_told(body.error());
    int status = gateway::map_error(body.error()).status;
    require(status >= 400 && status < 500, "a client's mistake is a 4xx");
    return 0;
  }
  check(*body);
  check_forwarded(*body);
  // The prompt's hash input tells different lists of messages apart.
  std::string joined = gateway::prompt_digest_input(body->request);
  engine::ChatRequest other = body->request;
  other.messages.back().content += '\n';
  require(gateway::prompt_digest_input(other) != joined, "another content is another input");
  other = body->request;
  other.messages.push_back(other.messages.back());
  require(gateway::prompt_digest_input(other) != joined, "one message more is another input");
  return 0;
}
