// One request on its way through the gateway: who asks, in which scope, what the audit record will
// say. Lives in the dispatcher's coroutine; handlers get a reference.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "audit/log.h"
#include "gateway/body_budget.h"
#include "gateway/limits.h"
#include "gateway/services.h"
#include "gateway/session.h"
#include "http/server.h"

namespace bulkhead::gateway {

struct Route;

struct Call {
  Services& services;
  http::Exchange& exchange;
  base::RequestId id;
  base::MonotonicTime began;  // when the request was whole; until then, when its head was
  const Route* route = nullptr;
  std::vector<std::string> captures;  // path parameters, in order
  std::shared_ptr<const identity::Principal> principal;
  std::optional<tenancy::TenantScope> tenant_scope;  // set on tenant routes
  base::CancelToken cancel;                          // client gone, tenant cut, shutdown
  Limiter::Admission admission;
  BodyBudget::Share body_share;               // memory for the body
  std::int64_t retry_after = 0;               // seconds, for a refusal that passes with time; 0: none
  audit::Record record;                       // completed as the request goes on
  std::optional<audit::Log::Ticket> started;  // set once RequestStarted was queued
  bool announced = false;                     // its intent is on record; an outcome must follow

  const http::Request& request() const { return exchange.request(); }
  const tenancy::TenantScope& scope() const { return *tenant_scope; }
  engine::CallContext engine_context() const {
    return {*tenant_scope, session_of(*tenant_scope, id), id.str(), cancel};
  }
};

// What a handler gives back: an answer to send, or the news that it has streamed one already.
struct Reply {
  http::Response response;
  bool streamed = false;
  static Reply json(int status, std::string body) {
    return {http::Response::json(status, std::move(body)), false};
  }
  static Reply already_streamed() { return {{}, true}; }
};

using RouteHandler = base::Task<base::Result<Reply>> (*)(Call& call);

}  // namespace bulkhead::gateway
