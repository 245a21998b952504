#include "store_rotation_contract.h"
#include "store_search_contract.h"

namespace bulkhead::storage {
namespace {

class SqliteBackend {
 public:
  void add_tenant(std::string_view name, std::uint64_t bytes_max) { platform_.add_tenant(name, bytes_max); }
  void add_tenant(std::string_view name, const tenancy::TenantLimits& limits) {
    platform_.add_tenant(name, limits);
  }
  tenancy::TenantScope scope(std::string_view name) { return platform_.scope(name); }
  std::shared_ptr<TenantStore> store(std::string_view name) { return platform_.store(name); }
  void suspend(std::string_view name) { (void)must(platform_.directory->suspend(tenant_id(name), "test")); }
  std::shared_ptr<TenantStore> reopened(std::string_view name) {
    platform_.manager->close(tenant_id(name));
    return platform_.store(name);
  }
  TestPlatform& deployment() { return platform_; }
  std::int64_t now() const { return platform_.clock.unix_seconds(); }

 private:
  TemporaryFolder folder_;
  TestPlatform platform_{folder_.path() / "data"};
};

INSTANTIATE_TYPED_TEST_SUITE_P(Sqlite, StoreContract, SqliteBackend);
INSTANTIATE_TYPED_TEST_SUITE_P(Sqlite, StoreRotationContract, SqliteBackend);
INSTANTIATE_TYPED_TEST_SUITE_P(Sqlite, StoreSearchContract, SqliteBackend);

}  // namespace
}  // namespace bulkhead::storage
