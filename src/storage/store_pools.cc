#include "storage/store_pools.h"

#include <algorithm>
#include <thread>

namespace bulkhead::storage {
namespace {

constexpr std::size_t kThreadsMin = 8;
constexpr std::size_t kThreadsMax = 32;
// An embedded store has two connections, which one tenant's threads would wait for.
constexpr std::size_t kShareMin = 2;
constexpr std::size_t kShareMax = 8;
constexpr std::size_t kWaitingPerTenant = 256;
// For tenants that compute more than their share, apart in each pool.
// One tenant holds one of two, so on two cores one is left to all others.
constexpr std::size_t kHeavyThreads = 2;

std::size_t cores() { return std::max(1u, std::thread::hardware_concurrency()); }

base::FairPoolOptions for_requests() {
  const std::size_t threads = std::clamp(2 * cores(), kThreadsMin, kThreadsMax);
  return {.threads = threads,
          .threads_per_party = std::clamp(cores() / 2, kShareMin, kShareMax),
          .threads_reserved = threads / 4,
          .waiting_per_party = kWaitingPerTenant,
          .heavy_threads = kHeavyThreads};
}

const base::FairPoolOptions kForOpening{
    .threads = 16, .threads_per_party = 4, .threads_reserved = 4, .waiting_per_party = kWaitingPerTenant};
const base::FairPoolOptions kForLongWork{.threads = 8,
                                         .threads_per_party = 2,
                                         .threads_reserved = 2,
                                         .waiting_per_party = 64,
                                         .heavy_threads = kHeavyThreads};

}  // namespace

StorePools::StorePools(const tenancy::TenantDirectory& tenants, const std::vector<std::string>& stores)
    : tenants_(tenants) {
  const auto add = [this](const std::string& name) {
    places_.emplace(name, std::unique_ptr<Place>(new Place{.requests = base::FairPool(for_requests()),
                                                           .opening = base::FairPool(kForOpening),
                                                           .long_work = base::FairPool(kForLongWork)}));
  };
  add("");
  for (const std::string& name : stores) add(name);
}

StorePools::Place& StorePools::place_of(const base::TenantId& tenant) {
  const auto record = tenants_.find(tenant);
  const auto found = places_.find(record ? record->policy.store : std::string());
  return found == places_.end() ? *places_.at("") : *found->second;
}

base::FairPool::Stats StorePools::stats() const {
  base::FairPool::Stats sum;
  for (const auto& [name, place] : places_) {
    for (const base::FairPool* pool : {&place->requests, &place->opening, &place->long_work}) {
      sum += pool->stats();
    }
  }
  return sum;
}

}  // namespace bulkhead::storage
