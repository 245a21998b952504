// AnswerSink: where an answer goes: one body when it is complete, or events as it is made. Everything else
// about a generation is the same for both (generation.h).
// One request, its reactor. The call, the head and the outcome outlive it.
#pragma once

#include <memory>

#include "gateway/answer.h"
#include "gateway/handlers.h"
#include "gateway/outcome.h"
#include "gateway/sampling.h"

namespace bulkhead::gateway {

class AnswerSink {
 public:
  virtual ~AnswerSink() = default;
  // The engine has taken the request. Once, before the first piece; nothing has left before.
  virtual base::Task<base::Result<void>> begin() = 0;
  // Takes a piece that holds something, and may take more of `rest` with it.
  virtual base::Task<base::Result<void>> take(engine::ChatStream& rest, engine::Piece piece) = 0;
  // The answer is complete and settled. `body` is all of it, empty where `needs_body` is false.
  virtual HandlerResult finish(std::string body) = 0;
  // It ends by an error, wherever it has come to.
  virtual HandlerResult fail(base::Error error) = 0;

  virtual bool needs_body() const = 0;
  virtual std::uint64_t padding_bytes() const { return 0; }
};

std::unique_ptr<AnswerSink> whole_sink(Outcome& outcome);
std::unique_ptr<AnswerSink> event_sink(Call& call, const AnswerHead& head, StreamOptions options,
                                       Outcome& outcome);

}  // namespace bulkhead::gateway
