// The re-embedder of a deployment with its rounds, what it keeps of its state, its audit records and its
// gauge. Wiring only.
#pragma once

#include <memory>

#include "apps/engine_parts.h"
#include "apps/rounds.h"
#include "rag/reembedder.h"

namespace bulkhead::apps {

class ReindexParts {
 public:
  // All outlive the parts, which are stopped before the engine and the reactors.
  struct Uses {
    const gateway::Config& config;
    storage::PlatformDatabase& platform;
    audit::Log& audit;
    watch::Metrics& metrics;
    const tenancy::TenantDirectory& tenants;
    storage::Upkeep& upkeep;
    storage::StoreManager& stores;
    EngineParts& engine;
    storage::StorePools& pools;
    http::ReactorPool& reactors;
    const base::Clock& clock;
  };
  explicit ReindexParts(Uses uses);
  ~ReindexParts() { stop(); }

  rag::Reembedder& reembedder() { return *reembedder_; }
  void start();
  void stop();

 private:
  base::Result<void> switch_over(const base::EmbeddingSpace& next);
  void record(const rag::ReembedEvent& event);

  Uses uses_;
  std::unique_ptr<rag::Reembedder> reembedder_;
  Rounds rounds_;
};

}  // namespace bulkhead::apps
