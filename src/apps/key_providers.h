// KeyProviders: the configuration's [[key_provider]]s made, tried and given to the directory, and asked again
// while the gateway runs, so that a key that was withdrawn closes its tenant in time (docs/keys.md).
//
// A provider that can't be used stops the start, saying what to change, unless tenants' keys are wrapped by
// it already: then those tenants are closed and the others are served, because whoever withdraws their own
// tenant's key must not be able to keep everybody else's gateway from starting. A module that can't be loaded
// and a tenant whose provider is not in the configuration stop it always: those are the operator's.
//
// Threads: one a provider, which asks it and may be held up by it; one for all, which watches the keys'
// lifetimes and asks nobody. `start` once; `stop` (or the destructor) ends them.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/result.h"
#include "crypto/key_provider.h"
#include "gateway/config.h"
#include "tenancy/directory.h"
#include "watch/metrics.h"

namespace bulkhead::apps {

class KeyProviders {
 public:
  // `tenants` is loaded; it, `config` and `metrics` outlive this.
  static base::Result<std::unique_ptr<KeyProviders>> open(const gateway::Config& config,
                                                          tenancy::TenantDirectory& tenants,
                                                          watch::Metrics& metrics);
  ~KeyProviders();
  void start();
  void stop();

 private:
  struct Each;
  KeyProviders(const gateway::Config& config, tenancy::TenantDirectory& tenants);
  base::Result<void> add(const gateway::KeyProviderConfig& config, bool in_use, watch::Metrics& metrics);
  void watch_provider(Each& each);
  void watch_lifetimes();
  bool wait(std::chrono::milliseconds time);  // false: it is over

  tenancy::TenantDirectory& tenants_;
  const std::chrono::milliseconds lifetime_;
  std::vector<std::unique_ptr<Each>> all_;
  std::mutex mutex_;
  std::condition_variable stopping_now_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace bulkhead::apps
