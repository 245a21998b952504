#include "apps/blocking_pools.h"

namespace bulkhead::apps {
namespace {

const base::FairPoolOptions kPlatform{
    .threads = 8, .threads_per_party = 2, .threads_reserved = 2, .waiting_per_party = 64, .heavy_threads = 2};
const base::FairPoolOptions kAudit{
    .threads = 4, .threads_per_party = 1, .threads_reserved = 1, .waiting_per_party = 32, .heavy_threads = 2};

base::FairPoolOptions for_extractions(std::size_t concurrent) {
  return {.threads = concurrent + 1,
          .threads_per_party = concurrent,
          .threads_reserved = 0,
          .waiting_per_party = concurrent};
}

std::vector<std::string> store_names(const gateway::Config& config) {
  std::vector<std::string> names;
  for (const storage::PostgresOptions& store : config.stores) names.push_back(store.name);
  return names;
}

}  // namespace

BlockingPools::BlockingPools(const gateway::Config& config, const tenancy::TenantDirectory& tenants)
    : stores(tenants, store_names(config)),
      platform(kPlatform),
      audit(kAudit),
      extract(for_extractions(config.extract.concurrent)) {}

base::FairPool::Stats BlockingPools::stats() const {
  base::FairPool::Stats sum = stores.stats();
  for (const base::FairPool* pool : {&platform, &audit, &extract}) sum += pool->stats();
  return sum;
}

void BlockingPools::register_gauges(watch::Metrics& metrics) const {
  metrics.gauge("bulkhead_blocking_waiting", "Pieces of blocking work that wait for a thread", {},
                [this] { return static_cast<double>(stats().waiting); });
  metrics.gauge("bulkhead_blocking_running", "Threads that run blocking work", {},
                [this] { return static_cast<double>(stats().running); });
  metrics.gauge("bulkhead_blocking_refused_total", "Blocking work refused because its queue was full", {},
                [this] { return static_cast<double>(stats().refused); });
  metrics.gauge("bulkhead_blocking_dropped_total", "Blocking work dropped because its client left", {},
                [this] { return static_cast<double>(stats().dropped); });
}

}  // namespace bulkhead::apps
