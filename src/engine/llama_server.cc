#include "engine/llama_server.h"

#include "base/json.h"
#include "crypto/random.h"

namespace bulkhead::engine {

namespace json = base::json;
using base::CancelToken;
using base::Error;
using base::Result;
using base::Task;
using http::Method;
using Outcome = Inspection::Outcome;

namespace {

constexpr int kProbeWords = 12;  // of 26 letters: well over a hundred tokens

Inspection unreachable(std::string reason) { return {Outcome::Unreachable, std::move(reason)}; }
Inspection unsafe(std::string reason) { return {Outcome::Unsafe, std::move(reason)}; }

std::string slot_target(std::size_t slot, std::string_view action) {
  return "/slots/" + std::to_string(slot) + "?action=" + std::string(action);
}

Inspection judge_props(const json::Value& props, const LlamaNeeds& needs) {
  const auto slots = props["total_slots"].as_int();
  const auto context = props["default_generation_settings"]["n_ctx"].as_int();
  const auto shows_slots = props["endpoint_slots"].as_bool();
  const auto takes_props = props["endpoint_props"].as_bool();
  const auto proxies = props["cors_proxy_enabled"].as_bool();
  if (!slots || !context || !shows_slots || !takes_props || !proxies) {
    return unsafe("does not say how it was started (GET /props): use the pinned llama.cpp version");
  }
  if (*shows_slots) return unsafe("shows what its slots do (GET /slots): start it with --no-slots");
  if (*takes_props) return unsafe("lets settings be changed while serving: start it without --props");
  if (*proxies) return unsafe("fetches addresses for whoever asks: start it without --ui-mcp-proxy");
  if (*slots < static_cast<std::int64_t>(needs.slots)) {
    return unsafe("has " + std::to_string(*slots) + " slots and engine.slots is " +
                  std::to_string(needs.slots) + ": start it with --parallel " + std::to_string(needs.slots) +
                  " or lower engine.slots");
  }
  if (*context < needs.context) {
    return unsafe("holds " + std::to_string(*context) + " tokens in a slot and engine.context is " +
                  std::to_string(needs.context) + ": raise --ctx-size or lower engine.context");
  }
  return {};
}

// A prompt that nobody has sent before.
std::string fresh_prompt() {
  std::string text;
  for (int i = 0; i < kProbeWords; ++i) text += crypto::random_id() + ' ';
  return text;
}

struct Probe {
  std::int64_t prompt = 0, cached = 0;
};

Task<Result<Probe>> generate(Replica& replica, const std::string& prompt, const CancelToken& cancel) {
  json::Writer w;
  w.begin_object().member("prompt", prompt).member("max_tokens", 1).member("id_slot", 0);
  w.member("cache_prompt", true).end_object();
  BULKHEAD_CO_TRY(answer, co_await replica.call(Method::Post, "/v1/completions", w.take(), cancel));
  auto document = json::Document::parse(answer.body);
  if (answer.status != 200 || !document) {
    co_return Error(EngineError::Failed, "The server did not complete a probe.");
  }
  json::Value usage = document->root()["usage"];
  co_return Probe{usage["prompt_tokens"].as_int().value_or(0),
                  usage["prompt_tokens_details"]["cached_tokens"].as_int().value_or(-1)};
}

// One prompt, another over it, and the first again: what is cached of it then was kept outside the slot.
Task<Inspection> inspect_host_cache(Replica& replica, CancelToken cancel) {
  const std::string first = fresh_prompt();
  const std::string second = fresh_prompt();
  for (const std::string* prompt : {&first, &second}) {
    auto probe = co_await generate(replica, *prompt, cancel);
    if (!probe) co_return unreachable("did not complete a probe: " + probe.error().describe());
  }
  auto again = co_await generate(replica, first, cancel);
  if (!again) co_return unreachable("did not complete a probe: " + again.error().describe());
  if (again->cached < 0)
    co_return unsafe("does not say how much of a prompt it reused: use the pinned version");
  if (again->cached * 2 > again->prompt) {
    co_return unsafe("keeps prompts of all slots in one cache of the host: start it with --cache-ram 0");
  }
  co_return Inspection{};
}

Task<Inspection> inspect_slot_actions(Replica& replica, CancelToken cancel) {
  auto saved = co_await replica.call(Method::Post, slot_target(0, "save"),
                                     "{\"filename\":\"bulkhead-probe\"}", cancel);
  if (!saved) co_return unreachable(saved.error().describe());
  if (saved->status == 200) {
    co_return unsafe(
        "can write prompts to disk: let --slot-save-path name a folder that takes no file (/proc/self)");
  }
  auto erased = co_await erase_slot(replica, 0, 0, cancel);
  if (!erased) {
    co_return unsafe(
        "does not erase slots: start it with --slot-save-path, naming a folder that takes no file "
        "(/proc/self)");
  }
  co_return Inspection{};
}

}  // namespace

Task<Result<void>> erase_slot(Replica& replica, std::size_t slot, std::int64_t tokens_min,
                              CancelToken cancel) {
  auto answer = co_await replica.call(Method::Post, slot_target(slot, "erase"), "{}", std::move(cancel));
  if (!answer) co_return answer.take_error();
  auto document = json::Document::parse(answer->body);
  const auto named = document ? document->root()["id_slot"].as_int() : std::nullopt;
  const auto erased = document ? document->root()["n_erased"].as_int() : std::nullopt;
  if (answer->status != 200 || named != static_cast<std::int64_t>(slot) || !erased || *erased < tokens_min) {
    co_return Error(EngineError::BadAnswer, "The model engine did not erase what a request left.",
                    "slot erase: status " + std::to_string(answer->status));
  }
  co_return Result<void>();
}

Task<Inspection> inspect_settings(Replica& replica, LlamaNeeds needs, CancelToken cancel) {
  if (!replica.on_socket()) {
    auto anonymous = co_await replica.call(Method::Get, "/slots", "", cancel, false);
    if (!anonymous) co_return unreachable(anonymous.error().describe());
    if (anonymous->status == 503) co_return unreachable("is loading its model");
    if (anonymous->status != 401 && anonymous->status != 403) {
      co_return unsafe("answers everybody who reaches it: start it with --api-key-file, or on a Unix socket");
    }
  }
  auto answer = co_await replica.call(Method::Get, "/props", "", cancel);
  if (!answer) co_return unreachable(answer.error().describe());
  if (answer->status == 503) co_return unreachable("is loading its model");
  if (answer->status == 401) co_return unsafe("refuses the key: see engine.external.api_key_file");
  auto document = json::Document::parse(answer->body);
  if (answer->status != 200 || !document)
    co_return unsafe("does not answer GET /props: is it a llama.cpp server?");
  Inspection props = judge_props(document->root(), needs);
  if (props.outcome != Outcome::Safe) co_return props;
  auto tools = co_await replica.call(Method::Get, "/tools", "", cancel);
  if (!tools) co_return unreachable(tools.error().describe());
  if (tools->status == 200) co_return unsafe("runs tools for whoever asks: start it without --tools");
  co_return Inspection{};
}

Task<Inspection> inspect_llama_server(Replica& replica, LlamaNeeds needs, CancelToken cancel) {
  Inspection found = co_await inspect_settings(replica, needs, cancel);
  if (found.outcome == Outcome::Safe) found = co_await inspect_slot_actions(replica, cancel);
  if (found.outcome == Outcome::Safe) found = co_await inspect_host_cache(replica, cancel);
  replica.slots.all_dirty();
  co_return found;
}

}  // namespace bulkhead::engine
