// Erasing a document, a kept chat or a user's data with a certificate: by the tenant's administrator for
// their own tenant, by the operator for any. Neither is shown any content for it (invariant I10).
#include "gateway/dto.h"
#include "gateway/handlers.h"
#include "gateway/kept_prefixes.h"
#include "gateway/store_call.h"
#include "gateway/user_dto.h"
#include "identity/user_id.h"
#include "storage/eraser.h"

namespace bulkhead::gateway {

namespace json = base::json;
using base::Result;
using base::Task;

namespace {

constexpr std::size_t kNameBytesMax = 256;

// A user is named as the caller's own issuer's unless the name says its issuer; the operator has none there.
Result<void> find_user(const Call& call, const base::TenantId& tenant, storage::ErasureOrder& order) {
  std::string id;
  if (call.tenant_scope) {
    BULKHEAD_TRY(named, named_user(call, order.name, "user"));
    id = std::move(named);
  } else {
    BULKHEAD_TRY(named, named_user_of(call.services, tenant, order.name, "user"));
    id = std::move(named);
  }
  order.users = call.services.user_names.stored_forms(tenant, id);
  order.name = identity::whole_user_name(id);
  return {};
}

Result<storage::ErasureOrder> read_order(const Call& call, const base::TenantId& tenant,
                                         std::string_view requested_by) {
  const http::Request& request = call.request();
  BULKHEAD_TRY(document, read_json_object(request));
  ObjectReader reader(document.root());
  auto file = reader.text("file", kNameBytesMax);
  auto chat = reader.text("chat", kNameBytesMax);
  auto user = reader.text("user", identity::kUserNameBytesMax);
  BULKHEAD_CHECK_OK(reader.finish());
  if ((file ? 1 : 0) + (chat ? 1 : 0) + (user ? 1 : 0) != 1) {
    return api_error(ApiError::BadParameter, "Name exactly one of 'file', 'chat' and 'user'.", "file");
  }
  using Kind = storage::ErasureOrder::Kind;
  storage::ErasureOrder order{.kind = file   ? Kind::Document
                                      : chat ? Kind::Chat
                                             : Kind::User,
                              .name = file   ? *file
                                      : chat ? *chat
                                             : *user,
                              .requested_by = std::string(requested_by)};
  if (user) BULKHEAD_CHECK_OK(find_user(call, tenant, order));
  return order;
}

Task<Result<Reply>> erase(Call& call, base::TenantId tenant, storage::ErasureOrder order) {
  Services& services = call.services;
  // A user's name stays out of the audit log; the certificate has it.
  call.record.target = order.kind == storage::ErasureOrder::Kind::User ? "user" : order.name;
  auto erased = co_await services.pools.long_work(tenant).run(
      turn_of(call), [&] { return services.eraser.erase(tenant, order); });
  if (!erased) co_return erased.take_error();
  for (const std::string& id : erased->api_keys) services.authenticator.forget_credential(id);
  // A kept prefix may hold what was said or read.
  co_await burn_kept(call, tenant, "");
  co_return Reply::json(200, std::move(erased->certificate));
}

Task<Result<Reply>> list(Call& call, base::TenantId tenant) {
  auto certificates = co_await call.services.platform_pool.run(
      turn_of(call), [&] { return call.services.eraser.certificates(tenant); });
  if (!certificates) co_return certificates.take_error();
  std::vector<std::string> items;
  for (const std::string& certificate : *certificates) {
    // As text: a certificate must be kept byte for byte.
    json::Writer w;
    w.begin_object().member("object", "bulkhead.erasure").member("certificate", certificate).end_object();
    items.push_back(w.take());
  }
  co_return Reply::json(200, list_body(items, {}, false));
}

}  // namespace

HandlerResult erase_data(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(order, read_order(call, call.scope().tenant(), "tenant"));
  co_return co_await erase(call, call.scope().tenant(), std::move(order));
}

HandlerResult list_erasures(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  co_return co_await list(call, call.scope().tenant());
}

HandlerResult admin_erase_data(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  auto tenant = base::TenantId::parse(call.captures[0]);
  if (!tenant || !call.services.tenants.find(*tenant)) co_return not_found("tenant");
  BULKHEAD_CO_TRY(order, read_order(call, *tenant, "operator"));
  co_return co_await erase(call, std::move(*tenant), std::move(order));
}

HandlerResult admin_list_erasures(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  auto tenant = base::TenantId::parse(call.captures[0]);
  if (!tenant || !call.services.tenants.find(*tenant)) co_return not_found("tenant");
  co_return co_await list(call, std::move(*tenant));
}

}  // namespace bulkhead::gateway
