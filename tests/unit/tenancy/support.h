// A registry in memory that can be told to fail, and an eraser that notes what it was asked.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>

#include "crypto/random.h"
#include "support/test_principal.h"
#include "tenancy/directory.h"

namespace bulkhead::tenancy {

inline base::TenantId tenant_id(std::string_view name) { return *base::TenantId::parse(name); }

// What "disk" holds outlives the directories opened over it, as after a crash.
class MemoryRegistry final : public Registry {
 public:
  base::Result<std::vector<StoredTenant>> load_all() override {
    std::lock_guard lock(mutex_);
    std::vector<StoredTenant> all;
    for (const auto& [name, stored] : tenants) all.push_back(stored);
    return all;
  }
  base::Result<void> insert(const StoredTenant& tenant) override { return put(tenant); }
  base::Result<void> update(const StoredTenant& tenant) override {
    if (forgets_updates) return base::Result<void>();
    return put(tenant);
  }
  base::Result<std::optional<StoredTenant>> load(const base::TenantId& tenant) override {
    std::lock_guard lock(mutex_);
    if (fails) return broken();
    const auto found = tenants.find(tenant.str());
    if (found == tenants.end()) return std::optional<StoredTenant>();
    return std::optional<StoredTenant>(found->second);
  }
  base::Result<void> remove(const base::TenantId& tenant) override {
    std::lock_guard lock(mutex_);
    if (fails) return broken();
    tenants.erase(tenant.str());
    return base::Result<void>();
  }
  base::Result<void> replace_keys(
      const std::vector<std::pair<base::TenantId, crypto::WrappedKey>>& keys) override {
    std::lock_guard lock(mutex_);
    if (fails) return broken();
    for (const auto& [id, key] : keys) tenants.at(id.str()).wrapped_key = key;
    return base::Result<void>();
  }

  std::map<std::string, StoredTenant> tenants;
  std::atomic<bool> fails{false};
  bool forgets_updates = false;  // a disk that lies

 private:
  static base::Error broken() {
    return base::Error(TenancyError::Registry, "The registry can't be written.");
  }
  base::Result<void> put(const StoredTenant& tenant) {
    std::lock_guard lock(mutex_);
    if (fails) return broken();
    tenants.insert_or_assign(tenant.tenant.id.str(), tenant);
    return base::Result<void>();
  }
  std::mutex mutex_;
};

class NotingEraser final : public TenantEraser {
 public:
  void close(const base::TenantId& tenant) override { steps.push_back("close " + tenant.str()); }
  base::Result<Report> erase(const base::TenantId& tenant) override {
    steps.push_back("erase " + tenant.str());
    if (on_erase) on_erase();
    if (fails) return base::Error(TenancyError::Busy, "The files can't be removed.");
    return Report{{"tenants/" + tenant.str() + "/store.db"}, 4096};
  }
  std::vector<std::string> steps;
  std::function<void()> on_erase;
  bool fails = false;
};

class DirectoryTest : public ::testing::Test {
 protected:
  DirectoryTest() {
    auto parsed = crypto::PlatformKeys::parse(crypto::PlatformKeys::generate_file_content());
    keys = std::move(*parsed);
    directory = open_directory();
  }
  std::unique_ptr<TenantDirectory> open_directory(std::size_t open_keys_max = 256) {
    auto made = std::make_unique<TenantDirectory>(keys, registry, clock, open_keys_max);
    EXPECT_TRUE(made->load().ok());
    return made;
  }
  Tenant create(std::string_view name) {
    auto made = directory->create(tenant_id(name), std::string(name), IsolationMode::Hybrid, {});
    EXPECT_TRUE(made.ok()) << made.error().describe();
    return *made;
  }
  TenantScope open(std::string_view name) {
    auto scope = directory->open(test::principal(std::string(name)));
    EXPECT_TRUE(scope.ok()) << scope.error().describe();
    return *scope;
  }

  base::ManualClock clock{1'800'000'000};
  std::shared_ptr<crypto::PlatformKeys> keys;
  MemoryRegistry registry;
  std::unique_ptr<TenantDirectory> directory;
  NotingEraser eraser;
  crypto::SigningKey signer = crypto::SigningKey::generate();
};

template <typename T>
::testing::AssertionResult fails_with(TenancyError code, const base::Result<T>& result) {
  if (result) return ::testing::AssertionFailure() << "it worked";
  if (result.error().is(code)) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << result.error().describe();
}

}  // namespace bulkhead::tenancy
