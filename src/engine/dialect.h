// How each kind of external engine is spoken to: routes, members added to OpenAI's body, headers never.
//
// Bodies are built member by member from a checked ChatRequest, so nothing that a client sent beside OpenAI's
// documented members reaches an engine (cache_salt, priority, kv_transfer_params, id_slot, cache_prompt,
// ...). Sources: vLLM's OpenAI-compatible server and its cache router, SGLang's http_server and protocol,
// Ollama's OpenAI compatibility page and API, llama.cpp's tools/server of the pinned version. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/engine.h"
#include "engine/guarantees.h"
#include "http/message.h"

namespace bulkhead::engine {

struct Dialect {
  std::string_view health;  // GET, 200 when it serves
  std::string_view reset;   // POST that drops everything kept; "" for none
  bool salted = false;      // takes `cache_salt`
  bool slots = false;       // takes `id_slot` and `cache_prompt`
};
const Dialect& dialect_of(EngineKind kind);

// What the adapter adds to one request, derived from the verified identity and the policy.
struct Stance {
  std::string salt;                 // of a salted dialect
  std::optional<std::size_t> slot;  // of a dialect with slots
  bool reuse_slot = false;          // may what the slot keeps be reused
};
std::string external_body(EngineKind kind, const ChatRequest& request, const Stance& stance);
// Body of the reset route.
std::string reset_body(EngineKind kind, std::string_view model);

// Everything that is ever asked of an engine of this kind; the replica refuses the rest.
bool route_allowed(EngineKind kind, http::Method method, std::string_view path);

}  // namespace bulkhead::engine
