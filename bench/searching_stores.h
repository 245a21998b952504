// Tenants in PostgreSQL with vectors = "pgvector", as a gateway has them: search through the real store, with
// its transaction, its policy's checks and its rotation.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "storage/chunk_record.h"
#include "storage/postgres_backend.h"
#include "storage/store_fixture.h"

namespace bulkhead::bench {

class SearchingStores {
 public:
  using Passages = std::vector<std::vector<float>>;
  // The database "searching" of the server in this folder is as docs/storage.md#pgvector wants it.
  SearchingStores(const std::string& folder, const std::string& password_file) {
    storage::PostgresOptions options;
    options.name = "searching";
    options.vectors = storage::PostgresVectors::Pgvector;
    options.host = folder;
    options.dbname = "searching";
    options.sslmode = "disable";
    options.admin_password_file = password_file;
    comparing_ = start(options);
    options.exact_search_max = 0;
    asking_ = start(options);
  }

  void add(const Passages& passages) {
    const std::string name = "t" + std::to_string(tenants_.size());
    platform_.add_tenant(name);
    const tenancy::TenantScope scope = platform_.scope(name);
    std::vector<storage::ChunkVectors> vectors;
    for (const auto& passage : passages) vectors.push_back({{space_, passage}});
    Tenant tenant{scope, storage::must(comparing_->open(scope)), storage::must(asking_->open(scope))};
    check(tenant.comparing->put_file(scope, storage::sample_file("f1"), "content"));
    check(tenant.comparing->replace_chunks(scope, file_, storage::sample_chunks("f1", passages.size()),
                                           vectors));
    tenants_.push_back(std::move(tenant));
  }

  // Places of the nearest passages; compared one by one, as it is done for this many, or by the index.
  std::vector<std::int64_t> nearest(std::size_t tenant, const std::vector<float>& question, std::size_t best,
                                    bool by_index) {
    const Tenant& asked = tenants_[tenant];
    const auto& store = by_index ? asked.asking : asked.comparing;
    std::vector<std::int64_t> places;
    for (const auto& hit :
         storage::must(store->search_vectors(asked.scope, space_, question, {file_}, best)).hits) {
      places.push_back(storage::ordinal_of(hit.key));
    }
    return places;
  }

 private:
  struct Tenant {
    tenancy::TenantScope scope;
    std::shared_ptr<storage::OpenStore> comparing, asking;
  };
  static void check(const base::Result<void>& done) {
    if (done) return;
    std::fprintf(stderr, "%s\n", done.error().describe().c_str());
    std::exit(1);
  }
  std::unique_ptr<storage::PostgresBackend> start(const storage::PostgresOptions& options) {
    auto backend =
        storage::must(storage::PostgresBackend::create(options, *platform_.platform, platform_.clock));
    check(backend->check());
    return backend;
  }

  const base::EmbeddingSpace space_ = storage::sample_space(1);
  const base::FileId file_ = storage::file_id("f1");
  storage::TemporaryFolder folder_;
  storage::TestPlatform platform_{folder_.path() / "data"};
  std::unique_ptr<storage::PostgresBackend> comparing_, asking_;
  std::vector<Tenant> tenants_;
};

}  // namespace bulkhead::bench
