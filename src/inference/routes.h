// The worker's HTTP interface; docs/engine-protocol.md.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/clock.h"
#include "http/message_signature.h"
#include "http/server.h"
#include "inference/answer.h"
#include "inference/encoder.h"
#include "inference/scheduler.h"

namespace bulkhead::inference {

// What serves requests. Each of the models may be absent.
struct Engine {
  const Model* chat = nullptr;
  Scheduler* scheduler = nullptr;
  const Model* embedding = nullptr;
  Encoder* embedder = nullptr;
  const Model* rerank = nullptr;
  Encoder* reranker = nullptr;
};

class Routes {
 public:
  Routes(Engine engine, http::MessageVerifier& verifier, const base::Clock& clock)
      : engine_(engine), verifier_(verifier), clock_(clock) {}
  base::Task<void> handle(http::Exchange& exchange);
  void stop_accepting() { stopping_ = true; }

 private:
  // A body as a generation that can be submitted, with how its answer is read.
  struct Prepared {
    std::shared_ptr<Generation> generation;
    std::shared_ptr<const AnswerFormat> format;
  };
  base::Task<http::Response> answer(http::Exchange& exchange, bool& streamed);
  base::Result<RequestContext> verified_context(const http::Request& request);
  base::Result<Prepared> prepare(GenerateBody body, RequestContext context, bool chat) const;
  base::Task<base::Result<http::Response>> generate(http::Exchange& exchange, RequestContext context,
                                                    bool chat, bool& streamed);
  base::Task<void> stream(http::Exchange& exchange, const AnswerHead& head, std::int64_t prompt_tokens,
                          GenerationChannel& channel, Answer& answer, GenerationChannel::Item item);
  // An error that comes before anything was sent is still to be answered.
  base::Task<base::Result<void>> stream_progress(http::Exchange& exchange, const AnswerHead& head,
                                                 std::int64_t prompt_tokens, GenerationChannel& channel,
                                                 Answer& answer, GenerationChannel::Item item);
  base::Task<base::Result<http::Response>> embeddings(http::Exchange& exchange, RequestContext context);
  base::Task<base::Result<http::Response>> rerank(http::Exchange& exchange, RequestContext context);
  base::Task<base::Result<http::Response>> burn(const http::Request& request, RequestContext context);
  base::Result<http::Response> tokenize(const http::Request& request) const;
  http::Response models() const;
  http::Response metrics() const;

  Engine engine_;
  http::MessageVerifier& verifier_;
  const base::Clock& clock_;
  std::atomic<bool> stopping_{false};
};

}  // namespace bulkhead::inference
