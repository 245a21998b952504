// Eraser: crypto-shreds one document, one kept chat or all of one user's data in a tenant's store, and
// certifies it after NIST SP 800-88r2 (docs/erasure.md). It reads ids, owners and names of keys; content
// it never opens.
//
// An erasure deletes the rows with their data keys, then renews the tenant key and the record-seal key, so
// that the older ones, which alone open a wrapped data key that lies on in a log, a free page, a replica
// or a backup of the store, are destroyed. What is to be erased is written down before it begins: after a
// crash `resume` goes on where it stopped, and the certificate is there to be read.
//
// Errors: StorageError::NotFound when there is no such document or chat, or nothing of that user. Thread
// safety: all members from every thread; all block; one erasure of a tenant at a time, and nobody waits for
// another tenant's.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "crypto/signature.h"
#include "storage/upkeep.h"

namespace bulkhead::storage {

struct ErasureOrder {
  enum class Kind { Document, Chat, User };
  Kind kind = Kind::Document;
  std::string name;  // id of the document or chat, or the user's whole name; stands in the certificate
  std::string requested_by;        // "operator" or "tenant"; stands in the certificate
  std::vector<std::string> users;  // all that the records may hold for the user
};

struct Erasure {
  std::string certificate;            // JSON, signed
  std::vector<std::string> api_keys;  // ids that are gone; a cached credential must go too
};

class Eraser {
 public:
  Eraser(PlatformDatabase& platform, tenancy::TenantDirectory& tenants, Upkeep& upkeep,
         const crypto::SigningKey& signer, const base::Clock& clock);
  ~Eraser();

  base::Result<Erasure> erase(const base::TenantId& tenant, const ErasureOrder& order);
  // Certificates of the tenant's erasures, oldest first.
  base::Result<std::vector<std::string>> certificates(const base::TenantId& tenant);
  // Asked before what a crash cut short goes on. Call before use; `recorder` outlives this.
  void record_with(WorkRecorder* recorder);
  // Finishes what a crash cut short. Logs what it can't finish now; the next call tries again.
  void resume(const std::function<bool()>& stopping);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::storage
