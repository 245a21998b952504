// Dispatcher: the one way of every request through the gateway.
//
//   route → credential → permission → tenant scope → limits → handler → audit → answer
//
// Nothing a handler touches is reached before the permission was decided; refusals and failures are
// audited like successes; no answer leaves before its audit record is durable (invariants I1, I7,
// I9). Errors become answers in one place (api_error.h).
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "base/task.h"
#include "gateway/call.h"
#include "gateway/routes.h"
#include "gateway/services.h"
#include "http/server.h"

namespace bulkhead::gateway {

class Dispatcher {
 public:
  explicit Dispatcher(Services& services);
  ~Dispatcher();

  // The server's handler.
  base::Task<void> handle(http::Exchange& exchange);
  // Refuses by headers alone: no credential, or a body larger than the route takes.
  std::optional<http::Response> early_check(const http::Request& request) const;
  static http::Response malformed(int status, const base::Error& error);

  // From now on new requests get 503; running ones go on.
  void start_draining() { draining_ = true; }
  // Cuts what still runs.
  void cancel_all() { shutdown_.cancel(base::CancelReason::Shutdown); }

 private:
  bool needs_no_credential(const Route& route) const;
  base::Task<base::Result<Reply>> process(Call& call);
  base::Task<base::Result<void>> authenticate(Call& call);
  base::Result<void> open_at_once(Call& call) const;
  base::Task<base::Result<void>> ask_for_key(Call& call) const;
  base::Result<void> authorize(Call& call) const;
  base::Result<void> check_tenant_claims(const Call& call) const;
  base::Result<void> admit(Call& call, std::int64_t& retry_after);
  base::Task<void> answer(Call& call, base::Result<Reply> result, std::int64_t retry_after);
  void count(const Call& call, int status) const;

  Services& services_;
  std::atomic<bool> draining_{false};
  base::CancelToken shutdown_;
  struct Throttle;
  std::unique_ptr<Throttle> refusal_throttle_;
};

}  // namespace bulkhead::gateway
