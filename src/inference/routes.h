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
#include "inference/preparation.h"
#include "inference/scheduler.h"

namespace bulkhead::inference {

// What serves requests. Each of the models may be absent.
struct Engine {
  Preparation* preparation = nullptr;  // never absent
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
  // A request that was read and given to the scheduler, with how its answer is read.
  struct Submitted {
    std::string model;
    bool stream = false;
    bool progress = false;
    std::size_t choices = 1;
    bool logprobs = false;
    std::shared_ptr<GenerationChannel> channel;  // null: the prompt does not fit, and nothing was taken
    std::shared_ptr<const AnswerFormat> format;
    std::size_t prompt_tokens = 0;
  };
  struct EncoderInput {
    std::string model;
    std::vector<Tokens> texts;
  };
  base::Task<http::Response> answer(http::Exchange& exchange, bool& streamed);
  base::Result<RequestContext> verified_context(const http::Request& request);
  // These run on the preparation's threads.
  base::Result<Submitted> submit(const std::string& text, RequestContext context, bool chat,
                                 base::CancelToken cancel) const;
  base::Result<std::shared_ptr<const AnswerFormat>> prepare(GenerateBody& body, Generation& generation,
                                                            bool chat) const;
  base::Result<EncoderInput> read_embeddings(const std::string& text) const;
  base::Result<EncoderInput> read_rerank(const std::string& text) const;
  base::Result<http::Response> tokenize(const std::string& text) const;

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
  http::Response models() const;
  http::Response metrics() const;

  Engine engine_;
  http::MessageVerifier& verifier_;
  const base::Clock& clock_;
  std::atomic<bool> stopping_{false};
};

}  // namespace bulkhead::inference
