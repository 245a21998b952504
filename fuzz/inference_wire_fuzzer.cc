// Bodies that reach the worker: an accepted one is within its bounds, and what the gateway's own
// writer makes of it is accepted again and means the same.
#include "base/json.h"
#include "check.h"
#include "inference/wire.h"

namespace {

using namespace bulkhead;
using fuzz::require;
namespace json = base::json;

constexpr std::size_t kInputsMax = 8;

void check_body(const inference::GenerateBody& body) {
  const inference::SamplingOptions& sampling = body.request.sampling;
  require(body.request.max_tokens >= 0, "max_tokens is not negative");
  require(sampling.temperature >= 0 && sampling.temperature <= 2, "temperature is in range");
  require(sampling.top_p >= 0 && sampling.top_p <= 1, "top_p is in range");
  for (const std::string& stop : body.request.stop) require(!stop.empty(), "no stop is empty");
  const inference::RequestContext& context = body.request.context;
  require(context.tenant.empty() && context.session.empty() && context.request_id.empty(),
          "no body says whose request it is");
}

void check_refusal(const base::Error& error) {
  fuzz::require_told(error);
  http::Response answer = inference::error_answer(error);
  require(answer.status >= 400 && answer.status < 500, "a bad body is a 4xx");
  auto body = json::Document::parse(answer.body);
  require(body.ok() && body->root()["error"]["message"].is_string(),
          "the error's body is JSON with a message");
}

// Answers are JSON whatever the model wrote.
void check_answers(std::string_view text) {
  inference::AnswerHead head{"chatcmpl-1", "model", 1};
  inference::AnswerChoice choice;
  choice.text = text;
  choice.finish_reason = "stop";
  for (const std::string& answer : {inference::answer_body(head, {choice}, inference::GenerationResult()),
                                    inference::chunk_body(head, 0, choice)}) {
    auto document = json::Document::parse(answer);
    require(document.ok(), "an answer is JSON");
    require(answer.find('\n') == std::string::npos, "an answer is one line");
  }
}

// The signed headers, once verified, are still read strictly: a context is whole or refused.
void check_context(std::string_view text) {
  http::Request request;
  for (const char* name : {"x-bulkhead-tenant", "x-bulkhead-session", "x-bulkhead-request"}) {
    request.headers.set(name, fuzz::take_line(text));
  }
  auto context = inference::parse_context(request);
  if (!context) return fuzz::require_told(context.error());
  require(!context->tenant.empty() && !context->session.empty(), "a context names a tenant and a session");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = fuzz::text_of(data, size);
  if (auto chat = inference::parse_chat(text)) {
    check_body(*chat);
    require(!chat->messages.empty(), "there is a message");
  } else {
    check_refusal(chat.error());
  }
  if (auto completion = inference::parse_completion(text)) {
    check_body(*completion);
  } else {
    check_refusal(completion.error());
  }
  auto burn = inference::parse_burn(text);
  if (!burn) check_refusal(burn.error());
  check_context(text);
  if (auto input = inference::parse_input(text, kInputsMax)) {
    require(!input->input.empty() && input->input.size() <= kInputsMax, "inputs stay in their bound");
    json::Writer writer;
    writer.begin_object().member("model", input->model).key("input").begin_array();
    for (const std::string& item : input->input) writer.value(item);
    writer.end_array().end_object();
    auto again = inference::parse_input(writer.text(), kInputsMax);
    require(again.ok() && again->model == input->model && again->input == input->input,
            "an accepted input reads the same again");
  } else {
    check_refusal(input.error());
  }
  check_answers(text);
  return 0;
}
