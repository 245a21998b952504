// A tenant: its name, state, isolation mode and policy. Values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/json.h"
#include "base/result.h"

namespace bulkhead::tenancy {

enum class TenancyError {
  UnknownTenant,
  TenantExists,
  TenantSuspended,
  TenantDestroyed,
  BadName,
  BadPolicy,
  NotATenantPrincipal,
  Registry,
  KeyUnavailable,
  KeyRevoked,
  Busy,
};
base::ErrorName error_name(TenancyError code);

// Restoring: its data is being read back from a backup; it answers nobody yet.
enum class TenantState { Active, Suspended, Destroyed, Restoring };
enum class IsolationMode { Hybrid, Silo, Pooled };
enum class RetrievalMode { Off, WhenRelevant, Required };
// What a request's K and V rows may be kept for after its answer (invariant I5): nothing, later requests
// under the same credential, or later requests of the same tenant.
enum class PrefixCacheMode { Off, Session, Tenant };
// Whether sequences of other tenants may share a decoding step with this tenant's.
enum class BatchingMode { Shared, Exclusive };
// The common worker, or a worker process that serves this tenant alone.
enum class EngineMode { Shared, Dedicated };
// Verified: refused where the engine can't prove that what a request left in it is zeroed. BestEffort: the
// engine is asked to forget, and its word is taken.
enum class BurnMode { Verified, BestEffort };
// Enforced: refused where the engine might reuse one tenant's prompt for another's. BestEffort: what the
// engine shares between tenants is accepted.
enum class PrefixIsolation { Enforced, BestEffort };
std::string_view state_name(TenantState state);
std::string_view mode_name(IsolationMode mode);
std::string_view retrieval_name(RetrievalMode mode);
std::string_view prefix_cache_name(PrefixCacheMode mode);
std::string_view batching_name(BatchingMode mode);
std::string_view engine_name(EngineMode mode);
std::string_view burn_name(BurnMode mode);
std::string_view prefix_isolation_name(PrefixIsolation isolation);

struct TenantLimits {
  std::uint32_t requests_per_minute = 600;
  std::uint32_t tokens_per_minute = 200'000;
  std::uint32_t concurrent_requests = 16;
  std::uint32_t user_requests_per_minute = 300;
  std::uint32_t user_tokens_per_minute = 100'000;
  std::uint32_t user_concurrent_requests = 8;
  std::uint64_t storage_bytes_max = 4ull << 30;  // of everything that is kept
  std::uint64_t files_max = 100'000;
  std::uint64_t vector_stores_max = 10'000;
  std::uint64_t kept_chats_max = 100'000;
  std::uint64_t api_keys_max = 1'000;
};

inline constexpr std::uint32_t kPrefixCacheSecondsMax = 86'400;
inline constexpr std::uint32_t kWeightMax = 1'000;
inline constexpr std::uint32_t kStreamPaddingBytesMax = 16'384;
inline constexpr std::uint32_t kStreamCadenceMsMax = 1'000;

// How the tenant's requests are treated inside the engine.
struct EnginePolicy {
  PrefixCacheMode prefix_cache = PrefixCacheMode::Off;
  std::uint32_t prefix_cache_seconds = 300;  // a kept prefix is burned this long after its last use
  BatchingMode batching = BatchingMode::Shared;
  EngineMode engine = EngineMode::Shared;
  BurnMode burn = BurnMode::Verified;
  PrefixIsolation prefix_isolation = PrefixIsolation::Enforced;
  std::uint32_t weight = 1;                // share of the engine under contention
  std::uint32_t stream_padding_bytes = 0;  // each event is padded to a multiple of this; 0: off
  std::uint32_t stream_cadence_ms = 0;     // events leave at this beat; 0: as tokens come
};

struct TenantPolicy {
  RetrievalMode retrieval = RetrievalMode::WhenRelevant;
  double relevance_threshold = 0.0;  // 0: the deployment's default
  bool keep_chats = false;           // `store: true` is refused unless this is set
  std::uint32_t kept_chat_days = 30;
  bool allow_logprobs = false;
  std::string system_prompt;                // prepended; "" for the built-in one
  std::string chat_model;                   // "" for the deployment's default
  std::vector<std::string> allowed_models;  // further chat models that its requests may name
  EnginePolicy engine;
  std::string store;  // where its data is: a [[store]]'s name, "" for the embedded one
  TenantLimits limits;

  static base::Result<TenantPolicy> from_json(const base::json::Value& object);  // unknown keys refused
  std::string to_json() const;
};

// A silo is a silo in every layer: its policy must give it a worker of its own. BadPolicy, saying what to
// change. The directory asks at each change, so that no way leads to a weaker wall than the mode's name.
base::Result<void> check_mode_policy(IsolationMode mode, const TenantPolicy& policy);

struct Tenant {
  base::TenantId id;
  std::string display_name;
  TenantState state = TenantState::Active;
  IsolationMode mode = IsolationMode::Hybrid;
  TenantPolicy policy;
  std::int64_t created = 0;  // unix seconds
};

}  // namespace bulkhead::tenancy
