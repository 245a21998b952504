// PlatformAccess: what the platform itself may open of tenants without a credential of theirs. With
// TenantDirectory::open and open_at_once, its `open_for_maintenance` is every maker of a TenantScope; all
// three stand in scope_makers.cc (invariant I2; Walls.OnlyTenancyMakesScopes counts them).
//
// It is a capability: there is no public constructor, and each TenantDirectory gives out one in its life
// (TenantDirectory::take_platform_access). storage::StoreManager takes it when it is made, before anything
// answers requests, and gives it to storage's upkeep alone; so no handler can come by one.
//
// Thread safety: all members from every thread; all block where a key provider is asked.
// Ownership: must not outlive its TenantDirectory.
#pragma once

#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "crypto/hash.h"
#include "tenancy/scope.h"

namespace bulkhead::tenancy {

class TenantTable;

class PlatformAccess {
 public:
  PlatformAccess(const PlatformAccess&) = delete;
  PlatformAccess& operator=(const PlatformAccess&) = delete;
  PlatformAccess(PlatformAccess&&) = default;
  PlatformAccess& operator=(PlatformAccess&&) = delete;

  // A scope for the platform's maintenance of a tenant's store (re-sealing, backup, migration, erasure): its
  // principal holds no role, so no access decision ever allows it anything. Suspended tenants too.
  base::Result<TenantScope> open_for_maintenance(const base::TenantId& id) const;
  // The hash of an API key's text under its tenant's ApiKeyHash key, before there is a principal. An error
  // when the tenant isn't active.
  base::Result<crypto::Digest> api_key_hash(const base::TenantId& tenant, std::string_view text) const;
  // The keys of the tenant's database, newest first, for reading the record of one API key in it.
  base::Result<std::vector<base::Secret>> database_keys(const base::TenantId& tenant) const;

 private:
  friend class TenantDirectory;
  explicit PlatformAccess(TenantTable& tenants) : tenants_(&tenants) {}
  TenantTable* tenants_;
};

}  // namespace bulkhead::tenancy
