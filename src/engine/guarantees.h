// What each kind of engine can give a tenant, as data, and the check of a tenant's policy against it.
//
// A policy stricter than the engine's guarantee is refused: a wall that nobody can keep must not be
// promised. docs/engines.md lists the table with how each entry is enforced and tested; the two are to be
// changed together. Pure functions; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/engine.h"
#include "tenancy/tenant.h"

namespace bulkhead::engine {

enum class EngineKind { Worker, OpenAi, Vllm, LlamaServer, Sglang, Ollama };
std::string_view kind_name(EngineKind kind);
std::optional<EngineKind> parse_external_kind(std::string_view name);  // every kind but the worker

// What is known to have happened to a request's K and V rows once it is over.
enum class Erasure {
  None,         // nothing is known
  Unreachable,  // no later request can match them; the bytes stay until the engine writes over them
  Forgotten,    // the engine confirmed that the slot is empty; the bytes stay until it writes over them
  Verified,     // zeroed and read back
};

struct Guarantees {
  Erasure erasure = Erasure::None;
  bool prefix_isolation = false;   // no request reuses rows of another tenant or session
  bool exclusive_batches = false;  // batches that hold one tenant's sequences only
  bool own_worker = false;         // a process that serves one tenant alone
  bool signed_context = false;     // the engine itself checks whose request it is
  bool exact_tokens = false;       // prompts are counted by the engine's tokenizer
  bool cache_reset = false;        // everything kept can be dropped on demand
  // Members of a request that the engine acts on. Others are refused, since an engine that ignores them
  // gives an answer other than the one asked for.
  bool several_choices = false;
  bool logprobs = false;
  bool logit_bias = false;
  bool tool_choice = false;
};
const Guarantees& guarantees_of(EngineKind kind);

// BadPolicy with the member's name as parameter when `policy` asks for more than `kind` gives.
base::Result<void> check_policy(EngineKind kind, const tenancy::EnginePolicy& policy);
// BadRequest with the member's name when the engine would ignore part of the request.
base::Result<void> check_request(EngineKind kind, const ChatRequest& request);

}  // namespace bulkhead::engine
