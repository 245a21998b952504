// The deployment's threads for work that blocks: those of tenants' stores, those of the platform, of the
// audit log's readers and of the document extractors, none of which another kind of work can use up. Wiring
// only.
#pragma once

#include "base/fair_pool.h"
#include "gateway/config.h"
#include "storage/store_pools.h"
#include "tenancy/directory.h"
#include "watch/metrics.h"

namespace bulkhead::apps {

struct BlockingPools {
  BlockingPools(const gateway::Config& config, const tenancy::TenantDirectory& tenants);
  void register_gauges(watch::Metrics& metrics) const;
  base::FairPool::Stats stats() const;

  storage::StorePools stores;
  // Operators' work that is on no tenant's store; its parties are the kinds of it.
  base::FairPool platform;
  // Queries of the audit log, one slice of it at a time; its parties are tenants, and operators.
  base::FairPool audit;
  // A thread for each process that extracts; how many there are at once is the extractor's to bound.
  base::FairPool extract;
};

}  // namespace bulkhead::apps
