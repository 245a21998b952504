// A tenant's own affairs: policy, API keys, audit, burn receipts.
#include "access/delegation.h"
#include "audit/verify.h"
#include "crypto/random.h"
#include "gateway/audit_query.h"
#include "gateway/dto.h"
#include "gateway/file_access.h"
#include "gateway/handlers.h"
#include "gateway/kept_prefixes.h"
#include "gateway/session.h"
#include "gateway/store_call.h"
#include "gateway/tenant_dto.h"
#include "gateway/user_dto.h"
#include "identity/name_claims.h"
#include "identity/user_id.h"
#include "storage/tombstones.h"

namespace bulkhead::gateway {

namespace json = base::json;
using base::Result;

namespace {

constexpr std::size_t kNameBytesMax = 128;
constexpr std::int64_t kExpiryMax = 10LL * 365 * 86'400;

std::string key_json(const Call& call, const identity::ApiKeyRecord& key, std::string_view text) {
  json::Writer w;
  w.begin_object().member("id", key.id.str()).member("object", "bulkhead.api_key").member("name", key.name);
  w.member("prefix", identity::ApiKeyFormat::visible_prefix(call.scope().tenant(), key.id));
  w.member("user", shown_user(call, key.user));
  for (const auto& [name, list] : {std::pair{"roles", &key.roles}, std::pair{"groups", &key.groups}}) {
    w.key(name).begin_array();
    for (const std::string& item : *list) w.value(item);
    w.end_array();
  }
  w.member("created_at", key.created);
  if (key.expires != 0) w.member("expires_at", key.expires);
  w.member("revoked", key.revoked);
  if (!text.empty()) w.member("key", text);
  w.end_object();
  return w.take();
}

base::Error refusal_of(const access::DelegationDecision& decision) {
  const std::string name = "'" + std::string(decision.name.substr(0, 64)) + "'";
  using enum access::DelegationRefusal;
  switch (*decision.refusal) {
    case UnknownRole: return api_error(ApiError::BadParameter, "There is no role " + name + ".", "roles");
    case WiderRights:
      return api_error(ApiError::Forbidden,
                       "You can't give a key more rights than you have (role " + name + ").", "roles");
    case ForeignRole:
      return api_error(ApiError::Forbidden, "You can't give a key a role that you don't have (" + name + ").",
                       "roles");
    case ForeignGroup:
      return api_error(ApiError::Forbidden,
                       "You can't give a key a group that you are not in (" + name + ").", "groups");
    case ForeignUser:
      return api_error(ApiError::Forbidden, "Only a tenant-admin can make a key for another user.", "user");
    case LongerLife: break;
  }
  return api_error(
      ApiError::Forbidden,
      "A key can't outlive its maker's own. Ask for fewer 'expires_in_seconds', or leave them out.",
      "expires_in_seconds");
}

}  // namespace

HandlerResult get_own_tenant(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  auto usage = co_await with_store(
      call, [&](storage::TenantStore& store, const auto& scope) { return store.usage(scope); });
  // The tenant's state and policy can be read while its database is away.
  if (!usage) co_return Reply::json(200, tenant_json(call.scope().record()));
  co_return Reply::json(200, tenant_json(call.scope().record(), *usage));
}

HandlerResult create_api_key(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(document, read_json_object(call.request()));
  ObjectReader reader(document.root());
  auto name = reader.text("name", kNameBytesMax);
  auto user = reader.text("user", identity::kUserNameBytesMax);
  auto roles = reader.texts("roles", 16, identity::kClaimNameBytesMax);
  auto groups = reader.texts("groups", 64, identity::kClaimNameBytesMax);
  auto lifetime = reader.integer("expires_in_seconds", 60, kExpiryMax);
  BULKHEAD_CO_CHECK_OK(reader.finish());
  if (roles.empty()) co_return api_error(ApiError::MissingParameter, "'roles' is needed.", "roles");
  std::string acting = call.principal->user();
  if (user) {
    BULKHEAD_CO_TRY(named, named_user(call, *user, "user"));
    acting = std::move(named);
  }
  // Recorded whether it is made or refused: who wanted a key that acts as whom.
  call.record.for_user = call.scope().audit_hash(acting);
  const std::int64_t now = call.services.clock.unix_seconds();
  const access::Delegation wanted{.user = acting,
                                  .roles = std::move(roles),
                                  .groups = std::move(groups),
                                  .expires = lifetime ? now + *lifetime : 0};
  const access::DelegationDecision decision =
      access::decide_delegation(call.services.roles, *call.principal, wanted, now);
  if (!decision.allowed()) co_return refusal_of(decision);

  identity::ApiKeyFormat::NewKey made = call.services.key_format.make(call.scope().tenant());
  identity::ApiKeyRecord record{.id = made.id};
  record.name = name.value_or("");
  record.user = wanted.user;
  record.roles = wanted.roles;
  record.groups = wanted.groups;
  record.created = now;
  record.expires = decision.expires;
  record.keyed_hash =
      identity::api_key_hash(call.scope().key(crypto::Purpose::ApiKeyHash), made.text.reveal_text());
  call.record.target = record.id.str();
  auto stored = co_await with_store(
      call, [&](storage::TenantStore& store, const auto& scope) { return store.put_api_key(scope, record); });
  if (!stored) co_return stored.take_error();
  co_return Reply::json(200, key_json(call, record, made.text.reveal_text()));
}

HandlerResult list_api_keys(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  auto keys = co_await with_store(
      call, [&](storage::TenantStore& store, const auto& scope) { return store.list_api_keys(scope); });
  if (!keys) co_return keys.take_error();
  std::vector<std::string> items, ids;
  for (const identity::ApiKeyRecord& key : *keys) {
    items.push_back(key_json(call, key, ""));
    ids.push_back(key.id.str());
  }
  co_return Reply::json(200, list_body(items, ids, false));
}

HandlerResult revoke_api_key(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  auto id = base::ApiKeyId::parse(call.captures[0]);
  if (!id) co_return not_found("API key");
  call.record.target = id->str();
  auto keys = co_await with_store(
      call, [&](storage::TenantStore& store, const auto& scope) { return store.list_api_keys(scope); });
  if (!keys) co_return keys.take_error();
  auto revoked = co_await with_store(call, [&](storage::TenantStore& store, const auto& scope) {
    return storage::Tombstones(call.services.platform).revoke_api_key(store, scope, *id);
  });
  if (!revoked && revoked.error().is(storage::StorageError::NotFound)) co_return not_found("API key");
  if (!revoked) co_return revoked.take_error();
  // From here on no request gets through with it, cached or not.
  call.services.authenticator.forget_credential(id->str());
  for (const identity::ApiKeyRecord& key : *keys) {
    if (key.id == *id)
      co_await burn_kept(call, call.scope().tenant(),
                         api_key_session(call.scope(), current_user(call, key.user), *id));
  }
  co_return Reply::json(200, deleted_body(id->str(), "bulkhead.api_key.deleted"));
}

HandlerResult query_own_audit(Call& call) {
  BULKHEAD_CO_TRY(query, read_audit_query(call.request()));
  query.tenant = call.scope().tenant().str();
  co_return co_await answer_audit_query(call, std::move(query));
}

HandlerResult get_receipt(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  auto receipt = call.services.receipts.find(call.scope(), call.captures[0]);
  if (!receipt) co_return not_found("burn receipt");
  co_return Reply::json(200, std::move(*receipt));
}

}  // namespace bulkhead::gateway
