#include "engine/guarantees.h"

namespace bulkhead::engine {

using base::Error;
using base::Result;

namespace {

constexpr Guarantees kWorker{.erasure = Erasure::Verified,
                             .prefix_isolation = true,
                             .exclusive_batches = true,
                             .own_worker = true,
                             .signed_context = true,
                             .exact_tokens = true,
                             .cache_reset = true,
                             .several_choices = true,
                             .logprobs = true,
                             .logit_bias = true,
                             .tool_choice = true};
// An OpenAI-compatible server of which nothing more is known.
constexpr Guarantees kOpenAi{
    .several_choices = true, .logprobs = true, .logit_bias = true, .tool_choice = true};
constexpr Guarantees kVllm{.erasure = Erasure::Unreachable,
                           .prefix_isolation = true,
                           .cache_reset = true,
                           .several_choices = true,
                           .logprobs = true,
                           .logit_bias = true,
                           .tool_choice = true};
// Several answers to one prompt would run in slots that the server chooses, beside the leased one.
constexpr Guarantees kLlamaServer{.erasure = Erasure::Forgotten,
                                  .prefix_isolation = true,
                                  .cache_reset = true,
                                  .logprobs = true,
                                  .logit_bias = true,
                                  .tool_choice = true};
// It takes a salt, but releases are known that drop it silently on some routes: no isolation is promised.
constexpr Guarantees kSglang{
    .cache_reset = true, .several_choices = true, .logprobs = true, .logit_bias = true, .tool_choice = true};
constexpr Guarantees kOllama{.cache_reset = true};

Error too_strict(EngineKind kind, std::string_view member, std::string_view value, std::string_view instead,
                 std::string_view lack) {
  std::string text = "'" + std::string(member) + "' is \"" + std::string(value) + "\", and ";
  text += "this deployment's engine (kind \"" + std::string(kind_name(kind)) + "\") " + std::string(lack);
  text +=
      ". Set \"" + std::string(member) + "\": \"" + std::string(instead) + "\" in the policy's \"engine\", ";
  text += "or serve with the own worker ([engine.chat]).";
  return Error(tenancy::TenancyError::BadPolicy, std::move(text)).with_parameter(std::string(member));
}

Error unsupported(EngineKind kind, std::string_view member) {
  return Error(EngineError::BadRequest, "'" + std::string(member) +
                                            "' has no effect at this deployment's engine (" +
                                            std::string(kind_name(kind)) + "). Remove it.")
      .with_parameter(std::string(member));
}

}  // namespace

std::string_view kind_name(EngineKind kind) {
  switch (kind) {
    case EngineKind::Worker: return "worker";
    case EngineKind::OpenAi: return "openai";
    case EngineKind::Vllm: return "vllm";
    case EngineKind::LlamaServer: return "llama-server";
    case EngineKind::Sglang: return "sglang";
    case EngineKind::Ollama: return "ollama";
  }
  return "unknown";
}

std::optional<EngineKind> parse_external_kind(std::string_view name) {
  for (EngineKind kind : {EngineKind::OpenAi, EngineKind::Vllm, EngineKind::LlamaServer, EngineKind::Sglang,
                          EngineKind::Ollama}) {
    if (name == kind_name(kind)) return kind;
  }
  return std::nullopt;
}

const Guarantees& guarantees_of(EngineKind kind) {
  switch (kind) {
    case EngineKind::Worker: return kWorker;
    case EngineKind::OpenAi: return kOpenAi;
    case EngineKind::Vllm: return kVllm;
    case EngineKind::LlamaServer: return kLlamaServer;
    case EngineKind::Sglang: return kSglang;
    case EngineKind::Ollama: return kOllama;
  }
  return kOpenAi;
}

Result<void> check_policy(EngineKind kind, const tenancy::EnginePolicy& policy) {
  const Guarantees& given = guarantees_of(kind);
  if (policy.engine == tenancy::EngineMode::Dedicated && !given.own_worker) {
    return too_strict(kind, "engine", "dedicated", "shared", "can't be started for one tenant alone");
  }
  if (policy.batching == tenancy::BatchingMode::Exclusive && !given.exclusive_batches) {
    return too_strict(kind, "batching", "exclusive", "shared", "mixes tenants in its batches");
  }
  if (policy.prefix_isolation == tenancy::PrefixIsolation::Enforced && !given.prefix_isolation) {
    return too_strict(kind, "prefix_isolation", "enforced", "best_effort",
                      "may reuse one tenant's prompts for another's, which timing shows");
  }
  if (policy.burn == tenancy::BurnMode::Verified && given.erasure != Erasure::Verified) {
    return too_strict(kind, "burn", "verified", "best_effort",
                      "can't prove that what a request leaves is zeroed");
  }
  return Result<void>();
}

Result<void> check_request(EngineKind kind, const ChatRequest& request) {
  const Guarantees& given = guarantees_of(kind);
  if (request.choices != 1 && !given.several_choices) return unsupported(kind, "n");
  if (request.logprobs && !given.logprobs) return unsupported(kind, "logprobs");
  if (!request.logit_bias.empty() && !given.logit_bias) return unsupported(kind, "logit_bias");
  if (!request.tool_choice.empty() && request.tool_choice != "\"auto\"" && !given.tool_choice) {
    return unsupported(kind, "tool_choice");
  }
  return Result<void>();
}

}  // namespace bulkhead::engine
