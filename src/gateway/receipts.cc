#include "gateway/receipts.h"

#include <deque>
#include <mutex>
#include <unordered_map>

#include "base/json.h"
#include "gateway/api_error.h"

namespace bulkhead::gateway {

using base::Result;

namespace {

constexpr std::string_view kSignaturePrefix = ",\"signature\":\"";

struct Kept {
  std::string user;
  base::WallTime time;
  BurnFacts facts;
};

void write_engine(base::json::Writer& w, const BurnFacts& facts) {
  w.key("engine").begin_object().member("used", facts.engine_used);
  if (facts.engine) {
    w.member("verified", facts.engine->verified()).key("report");
    base::write(w, *facts.engine);
  } else if (facts.engine_used) {
    w.member("verified", false).member("note", "the engine gave no report of what it cleared");
  }
  w.end_object();
}

std::string statement(const Kept& kept, const std::string& tenant, const crypto::VerifyKey& key) {
  const BurnFacts& facts = kept.facts;
  base::json::Writer w;
  w.begin_object()
      .member("type", "bulkhead.burn_receipt/2")
      .member("request_id", facts.request_id)
      .member("tenant", tenant)
      .member("action", facts.action)
      .member("time", base::rfc3339(kept.time));
  write_engine(w, facts);
  w.key("gateway").begin_object().member("heap_wiped_on_free", facts.gateway_heap_wiped);
  if (facts.stream_padding_bytes > 0) w.member("stream_padding_bytes", facts.stream_padding_bytes);
  w.end_object();
  if (facts.audit_position) {
    w.key("audit").begin_object().member("seq", facts.audit_position->seq);
    w.member("hash", base::hex_encode(facts.audit_position->hash)).end_object();
  }
  w.member("key", key.base64url());
  return w.take();  // the closing brace follows the signature
}

std::string sign(std::string body, const crypto::SigningKey& signer) {
  crypto::SignatureBytes signature = signer.sign(base::as_bytes(body));
  body += kSignaturePrefix;
  body += base::base64url_encode(signature);
  body += "\"}";
  return body;
}

}  // namespace

struct ReceiptBook::Impl {
  const crypto::SigningKey& signer;
  const base::Clock& clock;
  const std::size_t per_tenant_max, tenants_max;
  std::mutex mutex;
  std::unordered_map<std::string, std::deque<Kept>> tenants;
};

ReceiptBook::ReceiptBook(const crypto::SigningKey& signer, const base::Clock& clock,
                         std::size_t per_tenant_max, std::size_t tenants_max)
    : impl_(new Impl{signer, clock, per_tenant_max, tenants_max, {}, {}}) {}
ReceiptBook::~ReceiptBook() = default;

void ReceiptBook::add(const tenancy::TenantScope& scope, BurnFacts facts) {
  Kept kept{scope.principal().user(), impl_->clock.wall(), std::move(facts)};
  std::lock_guard lock(impl_->mutex);
  if (impl_->tenants.size() >= impl_->tenants_max && !impl_->tenants.contains(scope.tenant().str())) {
    impl_->tenants.erase(impl_->tenants.begin());
  }
  auto& list = impl_->tenants[scope.tenant().str()];
  list.push_back(std::move(kept));
  if (list.size() > impl_->per_tenant_max) list.pop_front();
}

std::optional<std::string> ReceiptBook::find(const tenancy::TenantScope& scope, std::string_view request_id) {
  std::string body;
  {
    std::lock_guard lock(impl_->mutex);
    auto list = impl_->tenants.find(scope.tenant().str());
    if (list == impl_->tenants.end()) return std::nullopt;
    for (const Kept& kept : list->second) {
      if (kept.facts.request_id == request_id && kept.user == scope.principal().user()) {
        body = statement(kept, scope.tenant().str(), impl_->signer.verify_key());
        break;
      }
    }
  }
  if (body.empty()) return std::nullopt;
  return sign(std::move(body), impl_->signer);
}

void ReceiptBook::forget(const base::TenantId& tenant) {
  std::lock_guard lock(impl_->mutex);
  impl_->tenants.erase(tenant.str());
}

Result<void> verify_receipt(std::string_view json, const crypto::VerifyKey& key) {
  while (!json.empty() && (json.back() == '\n' || json.back() == '\r' || json.back() == ' ')) {
    json.remove_suffix(1);
  }
  auto broken = [](std::string message) { return api_error(ApiError::BadParameter, std::move(message)); };
  std::size_t at = json.rfind(kSignaturePrefix);
  if (at == std::string_view::npos || !json.ends_with("\"}")) {
    return broken("Not a burn receipt: it has no signature member at its end.");
  }
  std::string_view text = json.substr(at + kSignaturePrefix.size());
  text.remove_suffix(2);
  auto signature = base::base64url_decode(text);
  if (!signature || !key.verify(base::as_bytes(json.substr(0, at)), *signature)) {
    return broken(
        "The receipt's signature does not fit this key: it was altered, or another "
        "deployment signed it.");
  }
  return Result<void>();
}

}  // namespace bulkhead::gateway
