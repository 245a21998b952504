// Signed statements that a tenant was destroyed (TenantDirectory::destroy), a record erased (storage's
// eraser) or a tenant moved (storage's mover), and their verification.
//
// Thread safety: free functions over values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "crypto/signature.h"
#include "tenancy/registry.h"

namespace bulkhead::tenancy {

// Checkable offline with the platform's verify key.
struct DestructionCertificate {
  std::string json;  // canonical text with "signature" and "key" members
};
base::Result<void> verify_certificate(std::string_view json, const crypto::VerifyKey& key);

struct CertificateFacts {
  std::string tenant;
  base::WallTime time;
  std::string key_id;  // hash of the wrapped key that was destroyed; "" when an earlier, interrupted
                       // run had destroyed it already
  TenantEraser::Report erased;
};

// A document, a kept chat or a user's data of a tenant that lives on; made by storage's eraser.
struct ErasedRecord {
  std::string id;      // "file/<id>", "chat/<id>"
  std::string key_id;  // hash of the wrapped data key that was destroyed; "": it had none of its own
};
struct ErasureFacts {
  std::string tenant;
  std::string kind;          // document, chat or user
  std::string name;          // as it was asked for
  std::string requested_by;  // operator or tenant
  base::WallTime time;
  std::vector<ErasedRecord> records;
  std::vector<std::string> api_keys;  // ids
  std::uint32_t record_seal_version = 0;
};
DestructionCertificate make_erasure_certificate(const ErasureFacts& facts, const crypto::SigningKey& signer);

// A tenant whose data was moved to another place; made by storage's mover.
struct MoveFacts {
  std::string tenant;
  std::string from_mode, from_store, to_mode, to_store;  // store "": the embedded one
  base::WallTime time;
  std::uint64_t records = 0;
  std::string manifest;  // hex of SHA-256 over the digests of all of them, the same on both sides
  std::uint32_t record_seal_version = 0, database_version = 0;  // destroyed; 0: nothing was moved
  TenantEraser::Report erased;
};
DestructionCertificate make_move_certificate(const MoveFacts& facts, const crypto::SigningKey& signer);

DestructionCertificate make_certificate(const CertificateFacts& facts, const crypto::SigningKey& signer);

}  // namespace bulkhead::tenancy
