#include "engine/dialect.h"

#include "base/json.h"
#include "engine/openai_body.h"

namespace bulkhead::engine {

namespace {

constexpr Dialect kOpenAi{"/v1/models", "", false, false};
constexpr Dialect kVllm{"/health", "/reset_prefix_cache", true, false};
constexpr Dialect kLlamaServer{"/health", "", false, true};
constexpr Dialect kSglang{"/health", "/flush_cache", true, false};
// An unload is the only way to make it forget.
constexpr Dialect kOllama{"/api/version", "/api/generate", false, false};

bool is_slot_route(std::string_view path) {
  if (!path.starts_with("/slots/")) return false;
  path.remove_prefix(7);
  return !path.empty() && path.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

const Dialect& dialect_of(EngineKind kind) {
  switch (kind) {
    case EngineKind::Vllm: return kVllm;
    case EngineKind::LlamaServer: return kLlamaServer;
    case EngineKind::Sglang: return kSglang;
    case EngineKind::Ollama: return kOllama;
    case EngineKind::Worker:
    case EngineKind::OpenAi: break;
  }
  return kOpenAi;
}

std::string external_body(EngineKind kind, const ChatRequest& request, const Stance& stance) {
  const Dialect& dialect = dialect_of(kind);
  base::json::Writer w;
  w.begin_object();
  wire::write_generation_members(w, request);
  if (dialect.salted) w.member("cache_salt", stance.salt);
  if (dialect.slots && stance.slot) {
    w.member("id_slot", static_cast<std::uint64_t>(*stance.slot));
    w.member("cache_prompt", stance.reuse_slot);
    // Reuse by shifting rows has been seen to mix prompts, whoever they belong to.
    w.member("n_cache_reuse", 0);
  }
  w.end_object();
  return w.take();
}

std::string reset_body(EngineKind kind, std::string_view model) {
  if (kind != EngineKind::Ollama) return "";
  base::json::Writer w;
  w.begin_object().member("model", model).member("keep_alive", 0).member("stream", false).end_object();
  return w.take();
}

bool route_allowed(EngineKind kind, http::Method method, std::string_view path) {
  const Dialect& dialect = dialect_of(kind);
  if (method == http::Method::Get) {
    if (path == dialect.health) return true;
    return dialect.slots && (path == "/props" || path == "/slots" || path == "/tools");
  }
  if (method != http::Method::Post) return false;
  if (path == "/v1/chat/completions" || path == "/v1/completions") return true;
  if (!dialect.reset.empty() && path == dialect.reset) return true;
  return dialect.slots && is_slot_route(path);
}

}  // namespace bulkhead::engine
