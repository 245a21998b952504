// Everything a route handler may use, put together once at start (apps/serve). All references
// outlive every request.
#pragma once

#include <functional>
#include <string>

#include "access/permission.h"
#include "audit/log.h"
#include "audit/refusals.h"
#include "base/clock.h"
#include "base/fair_pool.h"
#include "base/task.h"
#include "crypto/envelope.h"
#include "crypto/signature.h"
#include "engine/engine.h"
#include "engine/engine_pool.h"
#include "engine/engine_queues.h"
#include "gateway/config.h"
#include "gateway/limits.h"
#include "gateway/receipts.h"
#include "identity/authenticator.h"
#include "rag/ingest.h"
#include "rag/reembedder.h"
#include "rag/retriever.h"
#include "storage/backup.h"
#include "storage/eraser.h"
#include "storage/mover.h"
#include "storage/store_manager.h"
#include "storage/store_pools.h"
#include "storage/upkeep.h"
#include "tenancy/directory.h"
#include "vector/index.h"
#include "watch/metrics.h"

namespace bulkhead::gateway {

struct Services {
  const Config& config;
  const base::Clock& clock;
  storage::StorePools& pools;     // for work on tenants' stores
  base::FairPool& platform_pool;  // operators' work that is on no tenant's store
  base::FairPool& audit_pool;     // queries of the audit log
  std::shared_ptr<crypto::PlatformKeys> platform_keys;
  storage::PlatformDatabase& platform;
  tenancy::TenantDirectory& tenants;
  storage::StoreManager& stores;
  vector::IndexCache& indexes;
  identity::Authenticator& authenticator;
  const identity::UserNames& user_names;
  const identity::ApiKeyFormat& key_format;
  const access::RoleTable& roles;
  audit::Log& audit;
  audit::RefusalBook& refusals;
  watch::Metrics& metrics;
  engine::Engine& engine;
  engine::EngineQueues& engine_queue;
  rag::Retriever& retriever;
  rag::Ingestor& ingestor;
  rag::Reembedder& reembedder;
  Limiter& limiter;
  ReceiptBook& receipts;
  storage::Upkeep& upkeep;
  storage::Eraser& eraser;
  storage::Backups& backups;
  storage::Mover& mover;
  std::function<void()> wake_upkeep;  // it looks for work now rather than at its next round
  std::function<void()> wake_mover;   // the same
  const crypto::SigningKey& signer;
  const base::Secret& operator_hash_key;  // stored hash of operator API keys
  std::string chat_model;                 // the deployment's default
  std::string embedding_model;
  engine::EnginePool* engine_pool;  // null: every model is an external server's
};

}  // namespace bulkhead::gateway
