// PostgresBackend: one [[store]] of kind "postgres". Makes the roles, schemas and databases of tenants,
// opens their stores, removes them, and says what walls stand.
//
// Two kinds of logins: the admin role of the configuration, which owns the tables and serves no request,
// and the roles that do: one a tenant, or one for all with row-level security. Their passwords are made
// here and kept as platform secrets (in the encrypted platform.db), as are the tenants' proofs.
//
// Names in the server are keyed hashes (prefix_<24 hex>): every role can read the names of all schemas,
// roles and databases in the catalogue, and they should not tell who the other tenants are.
//
// Thread safety: all members from every thread; all block.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "base/clock.h"
#include "storage/postgres_store.h"
#include "storage/store_manager.h"

namespace bulkhead::storage {

class PostgresBackend final : public StoreBackend {
 public:
  // Reads the admin's password; connects to nothing yet.
  static base::Result<std::unique_ptr<PostgresBackend>> create(PostgresOptions options,
                                                               PlatformDatabase& platform,
                                                               const base::Clock& clock);

  // At start: the server is there and new enough, the admin role has the rights it needs and no more, the
  // schema's version is known and the walls stand. Misconfigured or Unavailable, saying what to change.
  base::Result<void> check() override;
  base::Result<std::shared_ptr<OpenStore>> open(const tenancy::TenantScope& scope) override;
  base::Result<FoundApiKey> find_api_key(const base::TenantId& tenant, const DatabaseKeysOf& keys_of,
                                         const base::ApiKeyId& id) override;
  base::Result<tenancy::TenantEraser::Report> erase(const base::TenantId& tenant) override;
  bool offers(tenancy::IsolationMode mode) const override;
  base::Result<StoreProbe> probe(const base::TenantId& tenant, const base::TenantId& other,
                                 const DatabaseKeysOf& keys_of) override;

  PostgresPool& pool() { return pool_; }
  // Makes what isn't there yet.
  base::Result<std::shared_ptr<const PostgresPlace>> ensure(const base::TenantId& tenant);

 private:
  PostgresBackend(PostgresOptions options, base::Secret admin_password, std::unique_ptr<WordTokenizer> words,
                  base::Secret name_key, PlatformDatabase& platform, const base::Clock& clock);
  bool shared() const { return pool_.options().layout == PostgresLayout::RowLevelSecurity; }
  std::string server_name(const base::TenantId& tenant) const;
  std::string secret_name(std::string_view kind, std::string_view name) const;
  base::Result<std::shared_ptr<const PostgresPlace>> place_of(const base::TenantId& tenant);
  PostgresPlace admin_of(const std::string& dbname) const;
  // A transaction of the admin role, the only one of its kind in this database.
  base::Result<PostgresTransaction> administer(const std::string& dbname);
  std::string shared_role() const;
  base::Result<void> ensure_schema(const PostgresPlace& place);
  base::Result<void> ensure_shared(const PostgresPlace& place);
  base::Result<void> ensure_database(const PostgresPlace& place);
  // The tables that search in the database needs, or their removal where it is not asked for; all of it is
  // derived, and made anew from the sealed vectors. The tables of `login` are there.
  base::Result<void> arrange_vectors(PostgresTransaction& transaction, const PostgresLogin& login);
  // What tenants' databases are copied from, with the database layout.
  base::Result<void> check_template();
  // An index over the vectors of one space, made before the first of them is written.
  base::Result<void> index_vectors(const PostgresPlace& place, const base::EmbeddingSpace& space,
                                   std::size_t dimensions);
  // A role can always change its own password and its own settings, so whoever stole the password could lock
  // the gateway out. The admin role sets settings back at each start and when a tenant's place is looked at,
  // and both when a login is refused.
  base::Result<void> reset_settings(PostgresTransaction& transaction, const PostgresLogin& login);
  base::Result<void> restore_login(PostgresTransaction& transaction, const PostgresLogin& login);
  bool mend_login(const PostgresLogin& login);
  base::Result<void> make_role(PostgresTransaction& transaction, const PostgresLogin& login);
  // Schema, tables and rights, and nothing for anybody else in this database.
  base::Result<void> make_schema(PostgresTransaction& transaction, const PostgresLogin& login);
  base::Result<void> erase_shared(const PostgresPlace& place, tenancy::TenantEraser::Report& report);
  base::Result<void> erase_own(const PostgresPlace& place, tenancy::TenantEraser::Report& report);
  // postgres_probe.cc
  WallSeen rotated_vectors(PostgresTransaction& transaction, const PostgresPlace& place);
  WallSeen try_foreign_rows(const PostgresPlace& place, const std::string& other);
  WallSeen try_other_place(PostgresTransaction& transaction, const PostgresPlace& place,
                           const std::string& other);
  base::Result<std::uint64_t> place_bytes(PostgresTransaction& transaction);

  PostgresPool pool_;
  base::Secret admin_password_;
  std::unique_ptr<WordTokenizer> words_;
  base::Secret name_key_;
  PlatformDatabase& platform_;
  const base::Clock& clock_;
  std::mutex mutex_;
  std::map<base::TenantId, std::shared_ptr<const PostgresPlace>> ready_;  // those seen to exist
};

}  // namespace bulkhead::storage
