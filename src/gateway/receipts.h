// Burn receipts: signed statements of what was destroyed after a request. They hold ids, counts and
// hashes, no payload, so they may outlive the request: the newest ones of each tenant are kept in
// memory and can be fetched by the user whose request it was.
//
// A receipt also carries the audit log's position of the request's record: a client that keeps its
// receipts holds anchors against a rolled-back log (`bulkhead audit verify --anchor`).
// Thread safety: all members from every thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "audit/log.h"
#include "base/clock.h"
#include "base/result.h"
#include "crypto/signature.h"
#include "engine/engine.h"
#include "tenancy/scope.h"

namespace bulkhead::gateway {

struct BurnFacts {
  std::string request_id;
  std::string action;
  std::optional<base::BurnReport> engine;  // none: it gave none that could be read
  bool engine_used = true;
  std::optional<audit::Position> audit_position;
  std::uint64_t stream_padding_bytes = 0;  // that an answer's stream was padded with, up to its last piece
  bool gateway_heap_wiped = false;         // the wiping allocator is linked and on
};

class ReceiptBook {
 public:
  ReceiptBook(const crypto::SigningKey& signer, const base::Clock& clock, std::size_t per_tenant_max = 256,
              std::size_t tenants_max = 4096);
  ~ReceiptBook();
  void add(const tenancy::TenantScope& scope, BurnFacts facts);
  // The signed receipt (JSON), when it is this principal's own.
  std::optional<std::string> find(const tenancy::TenantScope& scope, std::string_view request_id);
  void forget(const base::TenantId& tenant);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

base::Result<void> verify_receipt(std::string_view json, const crypto::VerifyKey& key);

}  // namespace bulkhead::gateway
