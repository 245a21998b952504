// The worker's HTTP interface; docs/engine-protocol.md.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/clock.h"
#include "http/message_signature.h"
#include "http/server.h"
#include "inference/embedder.h"
#include "inference/scheduler.h"

namespace bulkhead::inference {

// What serves requests. Either of the two models may be absent.
struct Engine {
  const Model* chat = nullptr;
  Scheduler* scheduler = nullptr;
  const Model* embedding = nullptr;
  Embedder* embedder = nullptr;
};

class Routes {
 public:
  Routes(Engine engine, http::MessageVerifier& verifier, const base::Clock& clock)
      : engine_(engine), verifier_(verifier), clock_(clock) {}
  base::Task<void> handle(http::Exchange& exchange);
  void stop_accepting() { stopping_ = true; }

 private:
  struct Context {
    std::string tenant, session, request_id;
  };
  base::Task<http::Response> answer(http::Exchange& exchange, bool& streamed);
  base::Result<Context> verified_context(const http::Request& request);
  base::Task<base::Result<http::Response>> chat(http::Exchange& exchange, Context context, bool& streamed);
  base::Task<base::Result<http::Response>> embeddings(http::Exchange& exchange);
  base::Result<http::Response> tokenize(const http::Request& request) const;
  http::Response models() const;
  http::Response metrics() const;

  Engine engine_;
  http::MessageVerifier& verifier_;
  const base::Clock& clock_;
  std::atomic<bool> stopping_{false};
};

}  // namespace bulkhead::inference
