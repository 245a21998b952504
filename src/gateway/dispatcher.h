// Dispatcher: the one way of every request through the gateway.
//
//   head: route, then credential, tenant scope, permission, limits (entry.h)
//   body: read only now, within the route's bound and the budgets (body_budget.h)
//   intent: of a route that changes something, durable before its handler runs (put_on_record.h)
//   handler
//   answer: audit record, then the bytes
//
// Nothing a handler touches is reached before the permission was decided; refusals and failures are
// audited like successes; no answer leaves before its audit record is durable (invariants I1, I7,
// I9). Errors become answers in one place (api_error.h).
#pragma once

#include <atomic>

#include "base/task.h"
#include "gateway/call.h"
#include "gateway/entry.h"
#include "gateway/refusal_pacer.h"
#include "gateway/routes.h"
#include "gateway/services.h"
#include "http/server.h"

namespace bulkhead::gateway {

class Dispatcher {
 public:
  explicit Dispatcher(Services& services);

  // The server's handler, which gets the head of a request and asks for the body itself.
  base::Task<void> handle(http::Exchange& exchange);
  static http::Response malformed(int status, const base::Error& error);

  const BodyBudget& bodies() const { return bodies_; }
  // From now on new requests get 503; running ones go on.
  void start_draining() {
    draining_ = true;
    drained_.cancel(base::CancelReason::Shutdown);
  }
  // Cuts what still runs.
  void cancel_all() { shutdown_.cancel(base::CancelReason::Shutdown); }

 private:
  bool needs_no_credential(const Route& route) const;
  // All phases but the answer.
  base::Task<base::Result<Reply>> process(Call& call);
  base::Result<void> find_route(Call& call) const;
  base::Task<base::Result<void>> take_body(Call& call);
  base::Task<base::Result<void>> receive_body(Call& call, std::size_t bytes_max);
  base::Task<void> answer(Call& call, base::Result<Reply> result);
  // Holds back the answer of somebody who is refused again and again (refusal_pacer.h).
  base::Task<void> pace_refusal(Call& call);
  void count(const Call& call, int status) const;

  Services& services_;
  Entry entry_;
  BodyBudget bodies_;
  RefusalPacer pacer_;
  std::atomic<bool> draining_{false};
  base::CancelToken drained_;  // answers that wait leave
  base::CancelToken shutdown_;
};

}  // namespace bulkhead::gateway
