// Engine: the port to inference. Behind it stands our own worker (worker_engine.h) or any
// OpenAI-compatible server by URL (remote_engine.h).
//
// Every call takes the TenantScope and a session id; adapters send them as signed context, never
// as body fields, and never accept one from a body. Results hold one tenant's data only.
// Thread safety: all members from every reactor.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "tenancy/scope.h"

namespace bulkhead::engine {

enum class EngineError {
  Unavailable,  // no worker or upstream just now; try again
  ModelUnknown,
  ContextExceeded,  // prompt does not fit; message says how many tokens fit
  QueueFull,
  BadRequest,  // the upstream refused what we sent (our mistake or an unsupported option)
  BadAnswer,   // the upstream's answer is not what the protocol says
  Cancelled,
  Failed,        // died in the middle
  ModelRefused,  // a model file did not pass admission; message says why
  ModelBusy,     // a change of the models that can't be made now
};
base::ErrorName error_name(EngineError code);

struct Message {
  std::string role;     // "system", "user", "assistant"
  std::string content;
};

struct ChatRequest {
  std::string model;
  std::vector<Message> messages;
  std::optional<std::int64_t> max_tokens;
  std::optional<double> temperature, top_p;
  std::optional<std::int64_t> seed;
  std::vector<std::string> stop;
  bool stream = false;
};

struct Usage {
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
};

// What the engine says of its own clearing up; empty when an external engine can't say.
struct BurnReport {
  bool verified = false;
  std::string json;  // the worker's "burn" object, as sent
};

struct Completion {
  std::string text;
  std::string finish_reason;  // "stop", "length"
  Usage usage;
  std::optional<BurnReport> burn;
};

// One streamed generation. Destroying it before the end cancels the generation.
class ChatStream {
 public:
  virtual ~ChatStream() = default;
  // The next piece of text; nothing at the end, after which `result` is complete.
  virtual base::Task<base::Result<std::optional<std::string>>> next() = 0;
  // finish_reason, usage, burn; `text` is empty. Valid after the end.
  virtual const Completion& result() const = 0;
};

struct ModelInfo {
  std::string id;
  std::string kind;           // "chat", "embedding"
  std::int64_t context = 0;   // tokens of one sequence
  std::int64_t dimensions = 0;
  std::string sha256;
};

struct CallContext {
  tenancy::TenantScope scope;
  std::string session;
  std::string request_id;
  base::CancelToken cancel;
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual base::Task<base::Result<Completion>> chat(CallContext context, ChatRequest request) = 0;
  virtual base::Task<base::Result<std::unique_ptr<ChatStream>>> chat_stream(CallContext context,
                                                                            ChatRequest request) = 0;
  // Unit vectors, in the order of `texts`.
  virtual base::Task<base::Result<std::vector<std::vector<float>>>> embed(
      CallContext context, std::string model, std::vector<std::string> texts) = 0;
  // Tokens of each text for `model`.
  virtual base::Task<base::Result<std::vector<std::int64_t>>> count_tokens(
      CallContext context, std::string model, std::vector<std::string> texts) = 0;
  // Models as last reported.
  virtual std::vector<ModelInfo> models() const = 0;
  virtual bool ready() const = 0;
};

}  // namespace bulkhead::engine
