#include "gateway/entry.h"

#include <algorithm>

#include "access/decision.h"
#include "gateway/api_error.h"
#include "gateway/routes.h"
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

constexpr std::int64_t kEstimatedBytesPerToken = 4;
constexpr std::int64_t kEstimatedAnswerTokens = 256;
constexpr std::string_view kTenantPaths = "/admin/tenants/{id}";

// The tenant that an operator's path is about, if there is one of that name: its records are that tenant's to
// read, too.
std::string tenant_of_path(const Call& call) {
  if (!call.route->pattern.starts_with(kTenantPaths)) return "";
  const auto id = base::TenantId::parse(call.captures.front());
  return id && call.services.tenants.find(*id) ? id->str() : "";
}

}  // namespace

Task<Result<void>> Entry::enter(Call& call) {
  auto entered = co_await authenticate(call);
  if (entered) entered = open_at_once(call);
  if (entered && call.principal->tenant() && !call.tenant_scope) entered = co_await ask_for_key(call);
  if (!entered) co_return entered;
  describe(call);
  entered = admit(call);
  if (!entered) co_return entered;
  co_return authorize(call);
}

Task<Result<void>> Entry::confirm(Call& call) {
  const auto known = call.principal;
  auto confirmed = co_await authenticate(call);
  if (!confirmed) call.principal = known;  // the record says whose request was refused
  if (confirmed) confirmed = authorize(call);
  co_return confirmed;
}

Task<Result<void>> Entry::authenticate(Call& call) {
  const http::Headers& headers = call.request().headers;
  auto authorization = headers.single("authorization");
  if (!authorization) {
    co_return Error(identity::IdentityError::Missing,
                    "Send one credential: \"Authorization: Bearer <token or API key>\".");
  }
  call.principal = services_.authenticator.cached(*authorization);
  if (!call.principal) {
    auto verified = co_await verify(call, std::string(*authorization));
    if (!verified) co_return verified.take_error();
  }
  call.record.credential = call.principal->credential() == identity::CredentialKind::Jwt ? "jwt" : "api_key";
  co_return Result<void>();
}

// A credential that is not known yet, which costs signatures and databases: strangers get a bounded number.
Task<Result<void>> Entry::verify(Call& call, std::string authorization) {
  const std::string& network = call.request().peer.network;
  call.retry_after = throttle_.wait_seconds(network);
  if (call.retry_after > 0) {
    co_return api_error(ApiError::FailedTooOften,
                        "Too many credentials from your network address were not valid. Try again in " +
                            std::to_string(call.retry_after) + " s.");
  }
  auto verified = co_await services_.authenticator.authenticate(std::move(authorization));
  if (verified) {
    call.principal = std::move(*verified);
    co_return Result<void>();
  }
  if (map_error(verified.error()).status == 401) throttle_.failed(network);
  co_return verified.take_error();
}

Result<void> Entry::check_tenant_claims(const Call& call) const {
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
Result<void> Entry::open_at_once(Call& call) const {
  if (!call.principal->tenant()) return Result<void>();
  call.record.tenant = call.principal->tenant()->str();
  BULKHEAD_TRY(scope, services_.tenants.open_at_once(call.principal));
  call.tenant_scope = std::move(scope);
  return Result<void>();
}

Task<Result<void>> Entry::ask_for_key(Call& call) const {
  auto scope = co_await services_.pools.opening(*call.principal->tenant())
                   .run({.party = call.principal->tenant()->str(), .cancel = call.cancel},
                        [this, &call] { return services_.tenants.open(call.principal); });
  if (!scope) co_return scope.take_error();
  call.tenant_scope = std::move(*scope);
  co_return Result<void>();
}

// Who asks, for the record; of an operator's request, whom it is about.
void Entry::describe(Call& call) {
  const identity::Principal& principal = *call.principal;
  if (principal.tenant()) {
    call.record.principal = call.tenant_scope->audit_hash(principal.user());
    call.record.credential_id = principal.credential() == identity::CredentialKind::ApiKey
                                    ? principal.credential_id()
                                    : call.tenant_scope->audit_hash(principal.credential_id());
  } else {
    call.record.principal = "operator";
    call.record.credential_id = principal.credential_id();
    call.record.tenant = tenant_of_path(call);
  }
}

Result<void> Entry::authorize(Call& call) const {
  const identity::Principal& principal = *call.principal;
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

Result<void> Entry::admit(Call& call) const {
  if (!call.tenant_scope) return Result<void>();
  BULKHEAD_CHECK_OK(services_.audit.admit(call.record.tenant, call.retry_after));
  std::int64_t tokens = 0;
  if (call.route->generates) {
    const auto prompt_bytes = static_cast<std::int64_t>(call.exchange.body_length().value_or(0));
    tokens = prompt_bytes / kEstimatedBytesPerToken + kEstimatedAnswerTokens;
  }
  BULKHEAD_TRY(admission, services_.limiter.admit(call.scope().record(), call.principal->user(), tokens,
                                                  call.retry_after));
  call.admission = std::move(admission);
  return Result<void>();
}

}  // namespace bulkhead::gateway
