#include "gateway/dispatcher.h"

#include <algorithm>
#include <charconv>
#include <mutex>

#include "access/decision.h"
#include "base/log.h"
#include "crypto/random.h"
#include "gateway/api_error.h"
#include "http/message_signature.h"

namespace bulkhead::gateway {

using base::Error;
using base::Result;
using base::Task;

namespace {

// Names by which other systems let a client choose its tenant. Here the credential alone says it; a
// request that names another one is refused and recorded (invariant I1).
constexpr std::string_view kTenantHeaders[] = {"x-tenant", "x-tenant-id", "x-tenant-name",
                                               "x-organization-id", "x-customer-id"};
constexpr std::string_view kTenantParameters[] = {"tenant", "tenant_id"};

// Anonymous refusals are recorded up to this rate; beyond, only counted, so that a stranger can't
// fill the audit disk.
constexpr double kAnonymousRecordsPerSecond = 20;

// What an answer has, so that its headers are allocated once.
constexpr std::size_t kHeadersExpected = 12;
constexpr std::size_t kHeaderBytesExpected = 512;

constexpr std::int64_t kEstimatedBytesPerToken = 4;
constexpr std::int64_t kEstimatedAnswerTokens = 256;

std::optional<std::uint64_t> content_length(const http::Request& request) {
  auto text = request.headers.single("content-length");
  if (!text) return std::nullopt;
  std::uint64_t value = 0;
  auto [end, failed] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (failed != std::errc()) return std::nullopt;
  return value;
}

Error unknown_route(const RouteMatch& match) {
  if (match.path_known) {
    return api_error(ApiError::MethodNotAllowed, "This path does not take this method.");
  }
  return api_error(ApiError::NoSuchRoute,
                   "There is no such path here. The API is OpenAI's under /v1, see the documentation.");
}

Error body_too_large(std::size_t bytes_max) {
  return api_error(ApiError::BodyTooLarge, "The request body is larger than the " +
                                               std::to_string(bytes_max >> 20) +
                                               " MiB that this path takes.");
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

struct Dispatcher::Throttle {
  std::mutex mutex;
  double left = kAnonymousRecordsPerSecond;
  base::MonotonicTime seen{};

  bool take(base::MonotonicTime now) {
    std::lock_guard lock(mutex);
    std::chrono::duration<double> passed = now - seen;
    seen = now;
    left = std::min(kAnonymousRecordsPerSecond, left + passed.count() * kAnonymousRecordsPerSecond);
    if (left < 1) return false;
    left -= 1;
    return true;
  }
};

Dispatcher::Dispatcher(Services& services)
    : services_(services), refusal_throttle_(std::make_unique<Throttle>()) {}
Dispatcher::~Dispatcher() = default;

std::optional<http::Response> Dispatcher::early_check(const http::Request& request) const {
  RouteMatch match = match_route(request.method, request.path);
  if (!match.route) return error_response(unknown_route(match));
  if (!needs_no_credential(*match.route) && request.headers.count("authorization") == 0) {
    return error_response(Error(identity::IdentityError::Missing,
                                "Send a credential: \"Authorization: Bearer <token or API key>\"."));
  }
  std::size_t bytes_max = std::min(match.route->body_bytes_max, services_.config.server.body_bytes_max);
  if (auto length = content_length(request); length && *length > bytes_max) {
    return error_response(body_too_large(bytes_max));
  }
  return std::nullopt;
}

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
  base::CancelToken cancel = call.cancel;
  auto client_gone = exchange.cancel_token().on_cancel([cancel] { cancel.cancel("client_gone"); });
  auto stopping = shutdown_.on_cancel([cancel] { cancel.cancel("shutdown"); });

  RouteMatch match = match_route(exchange.request().method, exchange.request().path);
  call.route = match.route;
  call.captures = std::move(match.captures);
  call.record.route = audience_name(call.route);
  if (!call.route) {
    co_await answer(call, unknown_route(match), 0);
    co_return;
  }
  const bool open_to_all = needs_no_credential(*call.route);
  call.record.action =
      open_to_all ? std::string_view("public") : access::permission_name(call.route->permission);

  if (open_to_all) {
    auto result = co_await call.route->handler(call);
    co_await answer(call, std::move(result), 0);
    co_return;
  }
  std::int64_t retry_after = 0;
  auto prepared = co_await authenticate(call);
  if (prepared) prepared = open_at_once(call);
  if (prepared && call.principal->tenant() && !call.tenant_scope) prepared = co_await ask_for_key(call);
  if (prepared) prepared = authorize(call);
  if (prepared) prepared = admit(call, retry_after);
  if (!prepared) {
    co_await answer(call, prepared.take_error(), retry_after);
    co_return;
  }
  // The running requests of a tenant that is suspended, or whose key is withdrawn, end here too.
  base::CancelToken::Registration tenant_cut;
  if (call.tenant_scope) {
    services_.ingestor.take_up(call.scope());
    const base::CancelToken cut = call.tenant_scope->cancel_token();
    tenant_cut = cut.on_cancel([cancel, cut] { cancel.cancel(cut.reason()); });
  }
  auto result = co_await call.route->handler(call);
  co_await answer(call, std::move(result), 0);
}

Task<Result<void>> Dispatcher::authenticate(Call& call) {
  if (draining_) {
    co_return api_error(ApiError::ShuttingDown, "The gateway is shutting down. Try again shortly.");
  }
  const http::Headers& headers = call.request().headers;
  auto authorization = headers.single("authorization");
  if (!authorization) {
    co_return Error(identity::IdentityError::Missing,
                    "Send one credential: \"Authorization: Bearer <token or API key>\".");
  }
  call.principal = services_.authenticator.cached(*authorization);
  if (!call.principal) {
    std::string text(*authorization);
    auto verified = co_await services_.authenticator.authenticate(std::move(text));
    if (!verified) co_return verified.take_error();
    call.principal = std::move(*verified);
  }
  call.record.credential = call.principal->credential() == identity::CredentialKind::Jwt ? "jwt" : "api_key";
  co_return Result<void>();
}

Result<void> Dispatcher::check_tenant_claims(const Call& call) const {
  std::string_view own =
      call.principal->tenant() ? std::string_view(call.principal->tenant()->str()) : std::string_view();
  auto foreign = [own](std::string_view named) { return named != own; };
  auto refusal = [] {
    return api_error(ApiError::TenantMismatch,
                     "The tenant comes from the credential. Remove the tenant from the "
                     "request, or use a credential of that tenant.");
  };
  for (const auto& [name, value] : call.request().headers.all()) {
    if (name.starts_with(http::kSignedHeaderPrefix)) return refusal();
    if (std::find(std::begin(kTenantHeaders), std::end(kTenantHeaders), name) != std::end(kTenantHeaders) &&
        foreign(value)) {
      return refusal();
    }
  }
  for (const auto& [name, value] : call.request().query) {
    if (std::find(std::begin(kTenantParameters), std::end(kTenantParameters), name) !=
            std::end(kTenantParameters) &&
        foreign(value)) {
      return refusal();
    }
  }
  return Result<void>();
}

// Leaves the scope empty when a key provider has to be asked.
Result<void> Dispatcher::open_at_once(Call& call) const {
  if (!call.principal->tenant()) return Result<void>();
  call.record.tenant = call.principal->tenant()->str();
  BULKHEAD_TRY(scope, services_.tenants.open_at_once(call.principal));
  call.tenant_scope = std::move(scope);
  return Result<void>();
}

Task<Result<void>> Dispatcher::ask_for_key(Call& call) const {
  auto scope = co_await services_.pools.opening(*call.principal->tenant())
                   .run({.party = call.principal->tenant()->str(), .cancel = call.cancel},
                        [this, &call] { return services_.tenants.open(call.principal); });
  if (!scope) co_return scope.take_error();
  call.tenant_scope = std::move(*scope);
  co_return Result<void>();
}

Result<void> Dispatcher::authorize(Call& call) const {
  const identity::Principal& principal = *call.principal;
  if (principal.tenant()) {
    call.record.principal = call.tenant_scope->audit_hash(principal.user());
    call.record.credential_id = principal.credential() == identity::CredentialKind::ApiKey
                                    ? principal.credential_id()
                                    : call.tenant_scope->audit_hash(principal.credential_id());
  } else {
    call.record.principal = "operator";
    call.record.credential_id = principal.credential_id();
  }
  access::Decision decision = access::decide(services_.roles, principal, call.route->permission);
  if (decision.allowed && (call.route->audience == Audience::Operator) != principal.is_operator()) {
    decision = {false, "wrong_audience"};
  }
  call.record.reason = decision.reason;
  if (!decision.allowed) {
    return api_error(ApiError::Forbidden, "Your role does not allow this (" +
                                              std::string(access::permission_name(call.route->permission)) +
                                              "). Ask your administrator.");
  }
  return check_tenant_claims(call);
}

Result<void> Dispatcher::admit(Call& call, std::int64_t& retry_after) {
  if (call.request().body.size() > call.route->body_bytes_max) {
    return body_too_large(call.route->body_bytes_max);
  }
  if (!call.tenant_scope) return Result<void>();
  std::int64_t tokens = 0;
  if (call.route->generates) {
    tokens = static_cast<std::int64_t>(call.request().body.size()) / kEstimatedBytesPerToken +
             kEstimatedAnswerTokens;
  }
  BULKHEAD_TRY(admission,
               services_.limiter.admit(call.scope().record(), call.principal->user(), tokens, retry_after));
  call.admission = std::move(admission);
  return Result<void>();
}

Task<void> Dispatcher::answer(Call& call, Result<Reply> result, std::int64_t retry_after) {
  http::Response response;
  bool streamed = result && result->streamed;
  if (result) {
    response = std::move(result->response);
    if (call.record.decision.empty()) call.record.decision = "allow";
  } else {
    const Error& error = result.error();
    response = error_response(error);
    if (retry_after > 0) response.headers.set("retry-after", std::to_string(retry_after));
    if (response.status == 401 || response.status == 403 || response.status == 429) {
      call.record.decision = "deny";
    } else if (call.record.decision.empty()) {
      call.record.decision = "allow";
    }
    call.record.reason = error.name().code;
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

  // Public routes hold nothing of anyone's; anonymous refusals are recorded within bounds.
  bool anonymous = !call.principal;
  bool record = call.route ? !needs_no_credential(*call.route) || !result : false;
  if (record && anonymous) record = refusal_throttle_->take(services_.clock.monotonic());
  if (record) {
    if (!result && call.record.decision == "deny") {
      call.record.event = anonymous ? audit::Event::AuthenticationFailed : audit::Event::RequestRefused;
    } else if (!result && call.route->event != audit::Event::RequestEnded) {
      // What was asked for did not happen, so the record must not read as if it had.
      call.record.event = audit::Event::RequestFailed;
    } else {
      call.record.event = call.route->event;
    }
    audit::Log::Ticket ticket = services_.audit.append(call.record);
    // A generation's RequestStarted is durable already or is awaited here; other answers wait for
    // their one record. An anonymous refusal gives nothing away and doesn't wait.
    if (!anonymous && !streamed) {
      auto durable = call.started ? co_await call.started->durable() : co_await ticket.durable();
      if (!durable) {
        response = error_response(durable.error());
        response.headers.set("retry-after", "5");
      }
    }
  }
  if (streamed) co_return;
  response.headers.reserve(kHeadersExpected, kHeaderBytesExpected);
  add_common_headers(call, response.headers);
  call.admission.add_headers(response.headers);
  auto sent = co_await call.exchange.send(std::move(response));
  if (!sent) base::log::debug("answer_not_taken", {{"request", std::string_view(call.id.str())}});
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
