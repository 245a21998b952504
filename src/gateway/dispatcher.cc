#include "gateway/dispatcher.h"

#include <algorithm>

#include "base/log.h"
#include "crypto/random.h"
#include "gateway/api_error.h"
#include "gateway/put_on_record.h"

namespace bulkhead::gateway {

using base::Error;
using base::Result;
using base::Task;

namespace {

// A body that took longer than this to come has its sender's credential looked at again.
constexpr std::chrono::seconds kConfirmedAfter{1};

constexpr std::size_t kChunkedBytesFirst = 64 << 10;
constexpr std::int64_t kBodiesRetryAfter = 5;

// What an answer has, so that its headers are allocated once.
constexpr std::size_t kHeadersExpected = 12;
constexpr std::size_t kHeaderBytesExpected = 512;

Error unknown_route(const RouteMatch& match) {
  if (match.path_known) {
    return api_error(ApiError::MethodNotAllowed, "This path does not take this method.");
  }
  return api_error(ApiError::NoSuchRoute,
                   "There is no such path here. The API is OpenAI's under /v1, see the documentation.");
}

// For people, who don't count in bytes.
std::string size_text(std::size_t bytes) {
  constexpr std::size_t kMebi = 1u << 20;
  return bytes % kMebi == 0 ? std::to_string(bytes / kMebi) + " MiB" : std::to_string(bytes) + " bytes";
}

Error body_too_large(std::size_t bytes_max) {
  return api_error(ApiError::BodyTooLarge,
                   "The request body is larger than the " + size_text(bytes_max) + " that this path takes.");
}

// What comes with another method means nothing (RFC 9110 section 9.3) and is not read.
bool takes_body(http::Method method) {
  return method == http::Method::Post || method == http::Method::Put || method == http::Method::Patch;
}

BodyBudget::Limits budget_of(const ServerConfig& server) {
  return {server.body_memory_max, server.tenant_body_memory_max, server.body_wait_max};
}

// As it was announced, or as far as it was read.
std::uint64_t body_bytes(const Call& call) {
  return std::max<std::uint64_t>(call.exchange.body_length().value_or(0), call.request().body.size());
}

RefusalPacer::Limits pace_of(const ServerConfig& server) {
  return {.at_once = server.refusals_at_once_max,
          .per_second = static_cast<double>(server.refusals_per_second),
          .wait_max = server.refusal_wait_max};
}

void add_common_headers(const Call& call, http::Headers& headers) {
  headers.set("x-request-id", call.id.str());
  headers.set("cache-control", "no-store");
  headers.set("x-content-type-options", "nosniff");
}

std::string_view audience_name(const Route* route) {
  return route ? route->pattern : std::string_view("unmatched");
}

std::string_view status_class(int status) {
  switch (status / 100) {
    case 2: return "2xx";
    case 3: return "3xx";
    case 4: return "4xx";
    default: return "5xx";
  }
}

}  // namespace

Dispatcher::Dispatcher(Services& services)
    : services_(services),
      entry_(services),
      bodies_(budget_of(services.config.server)),
      pacer_(services.clock, pace_of(services.config.server)) {}

// The metrics are an operator's unless the configuration opens them, which it can on a loopback address only.
bool Dispatcher::needs_no_credential(const Route& route) const {
  return route.audience == Audience::Public ||
         (services_.config.metrics_public && route.permission == access::Permission::PlatformMetrics);
}

http::Response Dispatcher::malformed(int status, const Error& error) {
  http::Response response = error_response(error);
  response.status = status;
  return response;
}

Task<void> Dispatcher::handle(http::Exchange& exchange) {
  Call call{.services = services_,
            .exchange = exchange,
            .id = base::RequestId::make(crypto::random_public_id()),
            .began = services_.clock.monotonic()};
  call.record.time = services_.clock.wall();
  call.record.request_id = call.id.str();
  if (services_.config.audit.client_address) call.record.address = exchange.request().peer.address;
  base::CancelToken cancel = call.cancel;
  const base::CancelToken client = exchange.cancel_token();
  auto client_gone = client.on_cancel([cancel, client] { cancel.cancel(client.reason()); });
  auto stopping = shutdown_.on_cancel([cancel] { cancel.cancel(base::CancelReason::Shutdown); });

  auto result = co_await process(call);
  co_await answer(call, std::move(result));
}

Task<Result<Reply>> Dispatcher::process(Call& call) {
  BULKHEAD_CO_CHECK_OK(find_route(call));
  if (needs_no_credential(*call.route)) co_return co_await call.route->handler(call);
  if (draining_) {
    co_return api_error(ApiError::ShuttingDown, "The gateway is shutting down. Try again shortly.");
  }
  auto ready = co_await entry_.enter(call);
  if (!ready) co_return ready.take_error();
  // The running requests of a tenant that is suspended, or whose key is withdrawn, end here too.
  base::CancelToken::Registration tenant_cut;
  if (call.tenant_scope) {
    services_.ingestor.take_up(call.scope());
    const base::CancelToken cut = call.tenant_scope->cancel_token();
    tenant_cut = cut.on_cancel([cancel = call.cancel, cut] { cancel.cancel(cut.reason()); });
  }
  ready = co_await take_body(call);
  if (ready && call.route->effect == Effect::Changes) ready = co_await announce_change(call);
  if (!ready) co_return ready.take_error();
  co_return co_await call.route->handler(call);
}

Result<void> Dispatcher::find_route(Call& call) const {
  RouteMatch match = match_route(call.request().method, call.request().path);
  call.route = match.route;
  call.captures = std::move(match.captures);
  call.record.route = audience_name(call.route);
  if (!call.route) return unknown_route(match);
  call.record.action = needs_no_credential(*call.route) ? std::string_view("public")
                                                        : access::permission_name(call.route->permission);
  return Result<void>();
}

Task<Result<void>> Dispatcher::take_body(Call& call) {
  if (!takes_body(call.route->method)) co_return Result<void>();
  const base::MonotonicTime asked = services_.clock.monotonic();
  auto received = co_await receive_body(
      call, std::min(call.route->body_bytes_max, services_.config.server.body_bytes_max));
  if (!received) {
    const int status = map_error(received.error()).status;
    if (status == 429 || status == 503) call.retry_after = kBodiesRetryAfter;
    co_return received;
  }
  call.began = services_.clock.monotonic();
  if (call.began - asked < kConfirmedAfter) co_return received;
  co_return co_await entry_.confirm(call);
}

Task<Result<void>> Dispatcher::receive_body(Call& call, std::size_t bytes_max) {
  const auto length = call.exchange.body_length();
  if (length && *length > bytes_max) co_return body_too_large(bytes_max);
  // A chunked body does not say how long it is: it starts small and gets as much again when that is full.
  std::size_t bytes = std::min<std::size_t>(length.value_or(kChunkedBytesFirst), bytes_max);
  if (bytes > 0) {
    auto share = co_await bodies_.reserve(call.record.tenant, bytes, call.cancel);
    if (!share) co_return share.take_error();
    call.body_share = std::move(*share);
  }
  for (;;) {
    // At the bound one byte more, so that a chunked body of just that size is seen to its end.
    auto whole = co_await call.exchange.receive_body(bytes == bytes_max ? bytes + 1 : bytes);
    if (!whole) co_return whole.take_error();
    if (call.request().body.size() > bytes_max) co_return body_too_large(bytes_max);
    if (*whole) co_return Result<void>();
    if (bytes == bytes_max) co_return body_too_large(bytes_max);
    bytes = std::min(bytes * 2, bytes_max);
    BULKHEAD_CO_CHECK_OK(call.body_share.grow(bytes));
  }
}

Task<void> Dispatcher::answer(Call& call, Result<Reply> result) {
  http::Response response;
  bool streamed = result && result->streamed;
  if (result) {
    response = std::move(result->response);
    if (call.record.decision.empty()) call.record.decision = "allow";
  } else {
    const Error& error = result.error();
    response = error_response(error);
    if (call.retry_after > 0) {
      response.headers.set("retry-after", std::to_string(call.retry_after));
    }
    if (response.status == 401 || response.status == 403 || response.status == 429) {
      call.record.decision = "deny";
    } else if (call.record.decision.empty()) {
      call.record.decision = "allow";
    }
    call.record.reason = error.name().code;
    // Which claim of a token was at fault: a name from the configuration, never the token's text.
    if (error.name().module == "identity" && !error.parameter().empty()) {
      call.record.reason += ":" + error.parameter();
    }
    if (response.status >= 500 || error.is(storage::StorageError::SealBroken)) {
      base::log::error("request_failed", {{"request", std::string_view(call.id.str())},
                                          {"error", error.name().code},
                                          {"detail", std::string_view(error.detail())}});
    }
  }
  call.record.status = streamed ? 200 : response.status;
  call.record.latency_micros =
      std::chrono::duration_cast<std::chrono::microseconds>(services_.clock.monotonic() - call.began).count();
  count(call, call.record.status);

  // Public routes hold nothing of anyone's.
  if (call.route && (!needs_no_credential(*call.route) || !result)) {
    auto recorded = co_await record_ending(call, {.failed = !result, .streamed = streamed});
    if (!recorded) {
      response = error_response(recorded.error());
      response.headers.set("retry-after", "5");
    }
  }
  if (streamed) co_return;
  call.admission.settle();  // before the client can ask again
  response.headers.reserve(kHeadersExpected, kHeaderBytesExpected);
  add_common_headers(call, response.headers);
  call.admission.add_headers(response.headers);
  if (RefusalPacer::counts(response.status, body_bytes(call))) co_await pace_refusal(call);
  auto sent = co_await call.exchange.send(std::move(response));
  if (!sent) base::log::debug("answer_not_taken", {{"request", std::string_view(call.id.str())}});
}

Task<void> Dispatcher::pace_refusal(Call& call) {
  const std::string& who = call.record.principal;
  const auto wait =
      pacer_.refused(call.record.tenant, who.empty() ? call.request().peer.network : who, body_bytes(call));
  if (wait == std::chrono::milliseconds(0)) co_return;
  services_.metrics.counter("bulkhead_refusals_paced_total", "Refusals whose answer waited", {}).add();
  // Others of the tenant may have its place among the running requests, and its memory, meanwhile.
  call.admission = Limiter::Admission();
  std::string().swap(call.exchange.request().body);
  call.body_share = BodyBudget::Share();
  base::CancelToken ended;
  auto gone = call.cancel.on_cancel([ended] { ended.cancel(base::CancelReason::ClientGone); });
  auto draining = drained_.on_cancel([ended] { ended.cancel(base::CancelReason::Shutdown); });
  static_cast<void>(co_await http::Reactor::current()->sleep(wait, ended));
}

void Dispatcher::count(const Call& call, int status) const {
  std::string_view route = audience_name(call.route);
  services_.metrics
      .counter("bulkhead_requests_total", "Requests by route, tenant and status class",
               {{"route", route}, {"tenant", call.record.tenant}, {"status", status_class(status)}})
      .add();
  static const std::vector<double> kBounds = {0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60};
  services_.metrics
      .histogram("bulkhead_request_seconds", "Time from the request's last byte to its answer", kBounds,
                 {{"route", route}})
      .observe(static_cast<double>(call.record.latency_micros.value_or(0)) / 1e6);
}

}  // namespace bulkhead::gateway
