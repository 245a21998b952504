// Backups of tenants and their restoring: the operator's, who is shown no content for it (invariant I10).
// Archives lie in the configuration's backup.dir, encrypted under its key; a request names files there, and
// never the key under which a backup is made: whoever chose that could read it.
#include "gateway/dto.h"
#include "gateway/handlers.h"
#include "gateway/isolation.h"
#include "gateway/store_call.h"
#include "gateway/tenant_dto.h"
#include "storage/backup.h"

namespace bulkhead::gateway {

namespace json = base::json;
using base::Result;

namespace {

constexpr std::size_t kFilesMax = 1000;
constexpr std::size_t kNameBytesMax = 2 * base::kIdBytesMax + 1;  // in a folder
constexpr std::size_t kKeyHexBytes = 2 * storage::kBackupKeyBytes;

std::string report_json(const base::TenantId& tenant, const storage::BackupReport& report) {
  json::Writer w;
  w.begin_object().member("object", "bulkhead.backup").member("tenant", tenant.str());
  w.member("file", report.file).member("archive", report.archive).member("base", report.base);
  w.member("taken_at", report.taken).member("records", static_cast<std::uint64_t>(report.subjects));
  w.member("written", static_cast<std::uint64_t>(report.written)).member("bytes", report.bytes);
  w.member("manifest_sha256", base::hex_encode(report.manifest));
  w.member("held_up_ms", static_cast<std::int64_t>(report.frozen_for.count())).end_object();
  return w.take();
}

std::string report_json(const storage::RestoreReport& report) {
  json::Writer w;
  w.begin_object().member("object", "bulkhead.restore").member("tenant", report.tenant.id.str());
  w.member("state", tenancy::state_name(report.tenant.state))
      .member("mode", tenancy::mode_name(report.tenant.mode));
  w.member("source", report.source).member("archive", report.archive).member("taken_at", report.taken);
  w.member("records", static_cast<std::uint64_t>(report.subjects));
  w.member("erased_since", static_cast<std::uint64_t>(report.erased_since));
  w.member("api_keys_revoked_since", static_cast<std::uint64_t>(report.keys_revoked_since));
  w.member("access_narrowed_since", static_cast<std::uint64_t>(report.access_narrowed_since));
  w.key("revocations_known_until");
  if (report.known_until.empty()) {
    w.null();
  } else {
    w.value(report.known_until);
  }
  w.member("api_keys_left_out", static_cast<std::uint64_t>(report.api_keys_left_out)).end_object();
  return w.take();
}

// Counts alone: what a restore did not bring back.
std::string withheld_text(const storage::RestoreReport& report) {
  return "; withheld: " + std::to_string(report.erased_since) + " erased, " +
         std::to_string(report.keys_revoked_since) + " keys revoked, " +
         std::to_string(report.access_narrowed_since) + " access lists narrowed";
}

struct RestoreRequest {
  storage::RestoreOrder order;
  std::optional<tenancy::IsolationMode> mode;
  std::optional<std::string> store;
};

Result<RestoreRequest> read_restore(const http::Request& request) {
  BULKHEAD_TRY(document, read_json_object(request));
  ObjectReader reader(document.root());
  RestoreRequest wanted;
  wanted.order.files = reader.texts("files", kFilesMax, kNameBytesMax);
  auto key = reader.text("backup_key", kKeyHexBytes);
  auto as = reader.text("as", 63);
  auto mode = reader.text("mode", 16);
  wanted.store = reader.text("store", 32);
  wanted.order.replace = reader.flag("replace").value_or(false);
  BULKHEAD_CHECK_OK(reader.finish());
  if (wanted.order.files.empty()) {
    return api_error(ApiError::MissingParameter, "'files' is needed: names of backups in backup.dir.",
                     "files");
  }
  if (wanted.order.replace && (as || mode || wanted.store)) {
    return api_error(ApiError::BadParameter,
                     "'replace' takes the tenant back where it is: leave 'as', 'mode' and 'store' out.",
                     "replace");
  }
  if (key) {
    auto bytes = base::hex_decode(*key);
    base::wipe(*key);
    if (!bytes || bytes->size() != storage::kBackupKeyBytes) {
      return api_error(ApiError::BadParameter, "'backup_key' must be 64 hex digits.", "backup_key");
    }
    wanted.order.key = base::Secret::copy_of(base::ByteView(*bytes));
    base::wipe(*bytes);
  }
  if (as) {
    auto id = base::TenantId::parse(*as);
    if (!id) {
      return api_error(ApiError::BadParameter, "'as' must be 1 to 63 lower-case letters, digits and hyphens.",
                       "as");
    }
    // A second copy beside the first is made by whoever holds what opens it, not by the operator's
    // credential alone.
    if (!wanted.order.key) {
      return api_error(ApiError::MissingParameter,
                       "'backup_key' is needed to restore a tenant under another name.", "backup_key");
    }
    wanted.order.as = std::move(*id);
  }
  if (mode) {
    BULKHEAD_TRY(parsed, parse_mode(*mode));
    wanted.mode = parsed;
  }
  return wanted;
}

}  // namespace

HandlerResult admin_backup_tenant(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  auto tenant = base::TenantId::parse(call.captures[0]);
  if (!tenant || !call.services.tenants.find(*tenant)) co_return not_found("tenant");
  call.record.target = tenant->str();
  BULKHEAD_CO_TRY(document, read_json_object(call.request()));
  ObjectReader reader(document.root());
  auto file = reader.text("file", kNameBytesMax, true);
  storage::BackupOrder order;
  order.since = reader.text("since", kNameBytesMax);
  order.whole = reader.flag("whole").value_or(false);
  BULKHEAD_CO_CHECK_OK(reader.finish());
  order.file = std::move(*file);
  Services& services = call.services;
  auto made = co_await services.pools.long_work(*tenant).run(turn_of(call), [&] {
    return services.backups.make(*tenant, order, [&] { return call.cancel.cancelled(); });
  });
  if (!made) co_return made.take_error();
  call.record.note = "archive " + made->archive;
  services.metrics.counter("bulkhead_backups_total", "Backups that were made", {{"tenant", tenant->str()}})
      .add();
  co_return Reply::json(200, report_json(*tenant, *made));
}

HandlerResult admin_restore_tenant(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  auto read = read_restore(call.request());
  if (!read) co_return read.take_error();
  RestoreRequest& wanted = *read;
  Services& services = call.services;
  wanted.order.fit = [&](tenancy::Tenant tenant) -> Result<tenancy::Tenant> {
    if (wanted.mode) change_mode(tenant, *wanted.mode);
    if (wanted.store) tenant.policy.store = *wanted.store;
    BULKHEAD_CHECK_OK(check_isolation(services.config, services.stores, tenant.mode, tenant.policy));
    BULKHEAD_CHECK_OK(check_policy(services.config, tenant.policy));
    return tenant;
  };
  auto restored = co_await services.platform_pool.run(turn_of(call),
                                                      [&] { return services.backups.restore(wanted.order); });
  if (!restored) co_return restored.take_error();
  call.record.target = call.record.tenant = restored->tenant.id.str();
  call.record.note = "archive " + restored->archive + withheld_text(*restored);
  co_return Reply::json(200, report_json(*restored));
}

}  // namespace bulkhead::gateway
