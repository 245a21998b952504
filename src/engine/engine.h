// Engine: the port to inference. Behind it stand our own workers (engine_pool.h) or external servers
// (external_engine.h); guarantees.h says what each kind can promise a tenant.
//
// Every call takes the TenantScope and a session id; adapters derive from them what the engine is told
// (signed headers, a salt, a slot) and never take any of it from a body. Results hold one tenant's data only.
// Thread safety: all members from every reactor.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/burn_report.h"
#include "base/embedding_space.h"
#include "base/result.h"
#include "base/task.h"
#include "engine/finish_reason.h"
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
  TimedOut,      // said nothing for too long
  ModelRefused,  // a model file did not pass admission; message says why
  ModelBusy,     // a change of the models that can't be made now
  HeldOff,       // this tenant's request ended the worker; message says how long nothing of it is served
};
base::ErrorName error_name(EngineError code);
// Whether an engine may have worked on a request that ended with this error, which it then is charged for.
bool may_have_worked(const base::Error& error);

struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // JSON text as the model wrote it; not checked against the tool's schema
};

struct Message {
  std::string role;  // "system", "user", "assistant", "tool"
  std::string content;
  std::vector<ToolCall> tool_calls;  // an assistant's earlier calls
  std::string tool_call_id;          // which call a tool's message answers
};

enum class AnswerFormat { Text, JsonObject, JsonSchema };

struct ResponseFormat {
  AnswerFormat kind = AnswerFormat::Text;
  std::string schema_name;  // of JsonSchema
  std::string schema;       // of JsonSchema: the schema's JSON text
};

// Who waits for a request: somebody; nobody just now (batches of chats, documents being indexed); nobody at
// all (documents being indexed anew). Of chats the order among the tenant's own; of embeddings the order of
// all.
enum class Priority { Interactive, Background, Maintenance };
std::string_view priority_name(Priority priority);

struct ChatRequest {
  std::string model;
  std::vector<Message> messages;
  std::optional<std::string> prompt;  // raw text to go on from; then there are no messages and no tools
  std::optional<std::int64_t> max_tokens;
  std::optional<double> temperature, top_p;
  std::optional<std::int64_t> seed;
  std::vector<std::string> stop;
  std::int64_t choices = 1;  // OpenAI's `n`: answers to the one prompt, 1 to 8
  std::optional<double> presence_penalty, frequency_penalty;
  std::vector<std::pair<std::int64_t, double>> logit_bias;  // token id, -100 to 100
  bool logprobs = false;
  std::int64_t top_logprobs = 0;
  ResponseFormat response_format;
  std::string tools;        // JSON text of OpenAI's list, checked; "" for none
  std::string tool_choice;  // JSON text, checked; "" for the engine's default
  std::optional<bool> parallel_tool_calls;
  Priority priority = Priority::Interactive;
  bool stream = false;
};

struct Usage {
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::optional<std::int64_t> cached_tokens;  // prompt tokens not computed anew; none: the engine can't say
  bool told = false;  // by the engine; else counted from what it has sent, which may be too few
};

struct Choice {
  std::string text;
  FinishReason finish_reason = FinishReason::None;
  std::vector<ToolCall> tool_calls;
  std::string logprobs;  // JSON text in the form of the route asked; "" when not asked
};

struct Completion {
  std::vector<Choice> choices;  // by index; as many as were asked for
  Usage usage;
  std::optional<base::BurnReport> burn;  // none: the engine gave none that could be read
};

// A piece of one choice. One that holds nothing tells that the usage has grown.
struct Piece {
  std::size_t choice = 0;
  std::string text;
  std::string logprobs;              // of these tokens, JSON text; "" when not asked
  std::vector<ToolCall> tool_calls;  // each one whole

  bool empty() const { return text.empty() && logprobs.empty() && tool_calls.empty(); }
};

// One generation under way. Destroying it before the end cancels the generation.
class ChatStream {
 public:
  virtual ~ChatStream() = default;
  // The next piece; nothing at the end, after which `result` is complete.
  virtual base::Task<base::Result<std::optional<Piece>>> next() = 0;
  // True when `next` has a piece without waiting for the engine.
  virtual bool buffered() const = 0;
  // finish_reason of each choice, usage, burn; texts and calls came as pieces. At any time what is known so
  // far, after an error too: the usage is never below what has come as pieces.
  virtual const Completion& result() const = 0;
};

// Unit vectors of texts, in their order.
struct Embeddings {
  std::vector<std::vector<float>> vectors;
  std::int64_t tokens = 0;  // of all texts; 0 where the engine does not say
};

// How well each document answers a query, as a cross-encoder sees it.
struct Ranking {
  std::vector<double> scores;  // in the documents' order; higher is better, the scale is the model's own
  std::int64_t tokens = 0;     // of all pairs
};

struct ModelInfo {
  std::string id;
  std::string kind;          // "chat", "embedding", "rerank"
  std::int64_t context = 0;  // tokens of one sequence
  std::int64_t dimensions = 0;
  std::string sha256;
  std::int64_t token_bytes_max = 0;  // no token stands for more bytes of text; 0: not known
};

struct CallContext {
  tenancy::TenantScope scope;
  std::string session;
  std::string request_id;
  base::CancelToken cancel;
  Priority priority = Priority::Interactive;  // of embeddings and counts; a chat's stands in its request
};

// Whose kept prefixes are to be burned: one session's, or all of the tenant's when `session` is empty.
// It names what is destroyed and reads nothing, so it needs no scope: the operator who suspends a
// tenant holds none (invariant I10).
struct BurnTarget {
  base::TenantId tenant;
  std::string session;
  std::string request_id;
};

// The spaces of one embedding model's vectors. Not known: there is no such model here.
struct EmbeddingSpaces {
  base::EmbeddingSpace current;              // what questions are searched in
  std::optional<base::EmbeddingSpace> next;  // what takes its place once everything is indexed in it

  friend bool operator==(const EmbeddingSpaces&, const EmbeddingSpaces&) = default;
};

// Tokens of a text by its size, where no tokenizer says: about English in a large vocabulary.
std::int64_t estimated_tokens(std::size_t bytes);

// What a model has read for an answer (Embeddings, Ranking) to texts of that size: its own count, else an
// estimate; nothing where it can't have worked.
template <typename Answer>
std::int64_t tokens_read(const base::Result<Answer>& answer, std::size_t bytes) {
  if (!answer) return may_have_worked(answer.error()) ? estimated_tokens(bytes) : 0;
  return answer->tokens > 0 ? answer->tokens : estimated_tokens(bytes);
}

class Engine {
 public:
  virtual ~Engine() = default;
  // With `request.stream` pieces come as they are made, else each choice as one piece at the end.
  virtual base::Task<base::Result<std::unique_ptr<ChatStream>>> chat(CallContext context,
                                                                     ChatRequest request) = 0;
  // Vectors of this space, in the order of `texts`; of the current one when it is not known. Unavailable
  // when the model has gone over to another one meanwhile: ask `embedding_spaces` again.
  virtual base::Task<base::Result<Embeddings>> embed(CallContext context, std::string model,
                                                     std::vector<std::string> texts,
                                                     base::EmbeddingSpace space = {}) = 0;
  virtual EmbeddingSpaces embedding_spaces(const std::string& model) const = 0;
  // Scores of `documents` for `query`. ContextExceeded names the document by index; nothing is cut.
  virtual base::Task<base::Result<Ranking>> rerank(CallContext context, std::string model, std::string query,
                                                   std::vector<std::string> documents) = 0;
  // Tokens of each text for `model`.
  virtual base::Task<base::Result<std::vector<std::int64_t>>> count_tokens(
      CallContext context, std::string model, std::vector<std::string> texts) = 0;
  // Burns what was kept of earlier requests. A running request of the target is not touched.
  virtual base::Task<base::Result<base::BurnReport>> burn_kept(BurnTarget target) = 0;
  // Models as last reported.
  virtual std::vector<ModelInfo> models() const = 0;
  virtual bool ready() const = 0;
};

}  // namespace bulkhead::engine
