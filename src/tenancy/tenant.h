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
  UnknownTenant, TenantExists, TenantSuspended, TenantDestroyed, BadName, BadPolicy,
  NotATenantPrincipal, Registry, KeyUnavailable, Busy,
};
base::ErrorName error_name(TenancyError code);

enum class TenantState { Active, Suspended, Destroyed };
enum class IsolationMode { Hybrid, Silo, Pooled };
enum class RetrievalMode { Off, WhenRelevant, Required };
std::string_view state_name(TenantState state);
std::string_view mode_name(IsolationMode mode);
std::string_view retrieval_name(RetrievalMode mode);

struct TenantLimits {
  std::uint32_t requests_per_minute = 600;
  std::uint32_t tokens_per_minute = 200'000;
  std::uint32_t concurrent_requests = 16;
  std::uint32_t user_requests_per_minute = 300;
  std::uint32_t user_tokens_per_minute = 100'000;
  std::uint32_t user_concurrent_requests = 8;
  std::uint64_t storage_bytes_max = 4ull << 30;
};

struct TenantPolicy {
  RetrievalMode retrieval = RetrievalMode::WhenRelevant;
  double relevance_threshold = 0.0;      // 0: the deployment's default
  bool keep_chats = false;               // `store: true` is refused unless this is set
  std::uint32_t kept_chat_days = 30;
  bool allow_logprobs = false;
  std::string system_prompt;             // prepended; "" for the built-in one
  std::string chat_model;                // "" for the deployment's default
  TenantLimits limits;

  static base::Result<TenantPolicy> from_json(const base::json::Value& object);  // unknown keys refused
  std::string to_json() const;
};

struct Tenant {
  base::TenantId id;
  std::string display_name;
  TenantState state = TenantState::Active;
  IsolationMode mode = IsolationMode::Hybrid;
  TenantPolicy policy;
  std::int64_t created = 0;              // unix seconds
};

}  // namespace bulkhead::tenancy
