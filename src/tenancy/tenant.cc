#include "tenancy/tenant.h"

#include <cmath>

namespace bulkhead::tenancy {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kAllowedModelsMax = 64;

constexpr std::size_t kSystemPromptBytesMax = 16 << 10;

Error bad(std::string_view key, std::string_view expected) {
  return Error(TenancyError::BadPolicy, "'" + std::string(key) + "' must be " + std::string(expected) + ".")
      .with_parameter(std::string(key));
}

// One member into one field; absent members keep what stands there.
template <typename Number>
Result<void> read_count(const json::Value& object, std::string_view key, Number& out, std::int64_t most) {
  json::Value value = object[key];
  if (!value.exists()) return Result<void>();
  auto number = value.as_int();
  if (!number || *number < 1 || *number > most) {
    return bad(key, "a whole number from 1 to " + std::to_string(most));
  }
  out = static_cast<Number>(*number);
  return Result<void>();
}

Result<void> read_flag(const json::Value& object, std::string_view key, bool& out) {
  json::Value value = object[key];
  if (!value.exists()) return Result<void>();
  auto flag = value.as_bool();
  if (!flag) return bad(key, "true or false");
  out = *flag;
  return Result<void>();
}

Result<void> read_text(const json::Value& object, std::string_view key, std::string& out) {
  json::Value value = object[key];
  if (!value.exists()) return Result<void>();
  auto text = value.as_string();
  if (!text || text->size() > kSystemPromptBytesMax) return bad(key, "a string of at most 16 KiB");
  out = std::string(*text);
  return Result<void>();
}

Result<void> refuse_unknown(const json::Value& object, std::initializer_list<std::string_view> known) {
  auto unknown = json::first_unknown_key(object, known);
  if (!unknown) return Result<void>();
  std::string list;
  for (std::string_view key : known) list += (list.empty() ? "" : ", ") + std::string(key);
  return Error(TenancyError::BadPolicy, "There is no policy member '" + *unknown + "'; allowed: " + list)
      .with_parameter(*unknown);
}

Result<void> read_limits(const json::Value& object, TenantLimits& out) {
  if (!object.exists()) return Result<void>();
  if (!object.is_object()) return bad("limits", "an object");
  BULKHEAD_CHECK_OK(refuse_unknown(
      object, {"requests_per_minute", "tokens_per_minute", "concurrent_requests", "user_requests_per_minute",
               "user_tokens_per_minute", "user_concurrent_requests", "storage_bytes_max", "files_max",
               "vector_stores_max", "kept_chats_max", "api_keys_max"}));
  constexpr std::int64_t kObjectsMax = 1'000'000'000;
  constexpr std::int64_t kRateMax = 2'000'000'000;
  BULKHEAD_CHECK_OK(read_count(object, "requests_per_minute", out.requests_per_minute, kRateMax));
  BULKHEAD_CHECK_OK(read_count(object, "tokens_per_minute", out.tokens_per_minute, kRateMax));
  BULKHEAD_CHECK_OK(read_count(object, "concurrent_requests", out.concurrent_requests, 100'000));
  BULKHEAD_CHECK_OK(read_count(object, "user_requests_per_minute", out.user_requests_per_minute, kRateMax));
  BULKHEAD_CHECK_OK(read_count(object, "user_tokens_per_minute", out.user_tokens_per_minute, kRateMax));
  BULKHEAD_CHECK_OK(read_count(object, "user_concurrent_requests", out.user_concurrent_requests, 100'000));
  BULKHEAD_CHECK_OK(read_count(object, "files_max", out.files_max, kObjectsMax));
  BULKHEAD_CHECK_OK(read_count(object, "vector_stores_max", out.vector_stores_max, kObjectsMax));
  BULKHEAD_CHECK_OK(read_count(object, "kept_chats_max", out.kept_chats_max, kObjectsMax));
  BULKHEAD_CHECK_OK(read_count(object, "api_keys_max", out.api_keys_max, kObjectsMax));
  return read_count(object, "storage_bytes_max", out.storage_bytes_max, INT64_MAX);
}

// As read_count, but 0 is allowed and means off.
Result<void> read_count_or_off(const json::Value& object, std::string_view key, std::uint32_t& out,
                               std::int64_t most) {
  if (object[key].as_int() == 0) {
    out = 0;
    return Result<void>();
  }
  return read_count(object, key, out, most);
}

// One of `names`, whose place in the list is the enumerator's value.
template <typename Enum>
Result<void> read_choice(const json::Value& object, std::string_view key, Enum& out,
                         std::initializer_list<std::string_view> names) {
  json::Value value = object[key];
  if (!value.exists()) return Result<void>();
  auto text = value.as_string().value_or("");
  std::string list;
  int at = 0;
  for (std::string_view name : names) {
    if (text == name) {
      out = static_cast<Enum>(at);
      return Result<void>();
    }
    list += (at++ == 0 ? "one of " : ", ") + std::string(name);
  }
  return bad(key, list);
}

Result<void> read_models(const json::Value& list, std::vector<std::string>& out) {
  if (!list.exists()) return Result<void>();
  if (!list.is_array() || list.size() > kAllowedModelsMax)
    return bad("allowed_models", "a list of at most 64 model ids");
  for (std::size_t i = 0; i < list.size(); ++i) {
    auto id = list.at(i).as_string();
    if (!id || id->empty()) return bad("allowed_models", "a list of at most 64 model ids");
    out.emplace_back(*id);
  }
  return Result<void>();
}

Result<void> read_engine(const json::Value& object, EnginePolicy& out) {
  if (!object.exists()) return Result<void>();
  if (!object.is_object()) return bad("engine", "an object");
  BULKHEAD_CHECK_OK(
      refuse_unknown(object, {"prefix_cache", "prefix_cache_seconds", "batching", "engine", "burn",
                              "prefix_isolation", "weight", "stream_padding_bytes", "stream_cadence_ms"}));
  BULKHEAD_CHECK_OK(read_choice(object, "prefix_cache", out.prefix_cache, {"off", "session", "tenant"}));
  BULKHEAD_CHECK_OK(
      read_count(object, "prefix_cache_seconds", out.prefix_cache_seconds, kPrefixCacheSecondsMax));
  BULKHEAD_CHECK_OK(read_choice(object, "batching", out.batching, {"shared", "exclusive"}));
  BULKHEAD_CHECK_OK(read_choice(object, "engine", out.engine, {"shared", "dedicated"}));
  BULKHEAD_CHECK_OK(read_choice(object, "burn", out.burn, {"verified", "best_effort"}));
  BULKHEAD_CHECK_OK(
      read_choice(object, "prefix_isolation", out.prefix_isolation, {"enforced", "best_effort"}));
  BULKHEAD_CHECK_OK(read_count(object, "weight", out.weight, kWeightMax));
  BULKHEAD_CHECK_OK(
      read_count_or_off(object, "stream_padding_bytes", out.stream_padding_bytes, kStreamPaddingBytesMax));
  return read_count_or_off(object, "stream_cadence_ms", out.stream_cadence_ms, kStreamCadenceMsMax);
}

}  // namespace

base::ErrorName error_name(TenancyError code) {
  switch (code) {
    case TenancyError::UnknownTenant: return {"tenancy", "unknown_tenant"};
    case TenancyError::TenantExists: return {"tenancy", "tenant_exists"};
    case TenancyError::TenantSuspended: return {"tenancy", "tenant_suspended"};
    case TenancyError::TenantDestroyed: return {"tenancy", "tenant_destroyed"};
    case TenancyError::BadName: return {"tenancy", "bad_name"};
    case TenancyError::BadPolicy: return {"tenancy", "bad_policy"};
    case TenancyError::NotATenantPrincipal: return {"tenancy", "not_a_tenant_principal"};
    case TenancyError::Registry: return {"tenancy", "registry"};
    case TenancyError::KeyUnavailable: return {"tenancy", "key_unavailable"};
    case TenancyError::KeyRevoked: return {"tenancy", "key_revoked"};
    case TenancyError::Busy: return {"tenancy", "busy"};
  }
  return {"tenancy", "unknown"};
}

std::string_view state_name(TenantState state) {
  switch (state) {
    case TenantState::Active: return "active";
    case TenantState::Suspended: return "suspended";
    case TenantState::Destroyed: return "destroyed";
    case TenantState::Restoring: return "restoring";
  }
  return "unknown";
}

std::string_view mode_name(IsolationMode mode) {
  switch (mode) {
    case IsolationMode::Hybrid: return "hybrid";
    case IsolationMode::Silo: return "silo";
    case IsolationMode::Pooled: return "pooled";
  }
  return "unknown";
}

std::string_view retrieval_name(RetrievalMode mode) {
  switch (mode) {
    case RetrievalMode::Off: return "off";
    case RetrievalMode::WhenRelevant: return "when_relevant";
    case RetrievalMode::Required: return "required";
  }
  return "unknown";
}

std::string_view prefix_cache_name(PrefixCacheMode mode) {
  switch (mode) {
    case PrefixCacheMode::Off: return "off";
    case PrefixCacheMode::Session: return "session";
    case PrefixCacheMode::Tenant: return "tenant";
  }
  return "unknown";
}

std::string_view batching_name(BatchingMode mode) {
  return mode == BatchingMode::Exclusive ? "exclusive" : "shared";
}

std::string_view engine_name(EngineMode mode) {
  return mode == EngineMode::Dedicated ? "dedicated" : "shared";
}

Result<void> check_mode_policy(IsolationMode mode, const TenantPolicy& policy) {
  if (mode != IsolationMode::Silo || policy.engine.engine == EngineMode::Dedicated) return Result<void>();
  return Error(TenancyError::BadPolicy,
               "A tenant of mode 'silo' has an engine worker of its own: 'engine.engine' must be "
               "\"dedicated\", or be left out. For a shared engine choose mode hybrid.")
      .with_parameter("engine.engine");
}

std::string_view burn_name(BurnMode mode) {
  return mode == BurnMode::BestEffort ? "best_effort" : "verified";
}

std::string_view prefix_isolation_name(PrefixIsolation isolation) {
  return isolation == PrefixIsolation::BestEffort ? "best_effort" : "enforced";
}

Result<TenantPolicy> TenantPolicy::from_json(const json::Value& object) {
  TenantPolicy policy;
  if (!object.is_object()) return bad("policy", "an object");
  BULKHEAD_CHECK_OK(refuse_unknown(
      object, {"retrieval", "relevance_threshold", "keep_chats", "kept_chat_days", "allow_logprobs",
               "system_prompt", "chat_model", "allowed_models", "engine", "store", "limits"}));
  if (json::Value value = object["retrieval"]; value.exists()) {
    auto name = value.as_string().value_or("");
    if (name == "off")
      policy.retrieval = RetrievalMode::Off;
    else if (name == "when_relevant")
      policy.retrieval = RetrievalMode::WhenRelevant;
    else if (name == "required")
      policy.retrieval = RetrievalMode::Required;
    else
      return bad("retrieval", "off, when_relevant or required");
  }
  if (json::Value value = object["relevance_threshold"]; value.exists()) {
    auto number = value.as_double();
    if (!number || !(*number >= 0 && *number <= 1)) return bad("relevance_threshold", "a number from 0 to 1");
    policy.relevance_threshold = *number;
  }
  BULKHEAD_CHECK_OK(read_flag(object, "keep_chats", policy.keep_chats));
  BULKHEAD_CHECK_OK(read_count(object, "kept_chat_days", policy.kept_chat_days, 3'650));
  BULKHEAD_CHECK_OK(read_flag(object, "allow_logprobs", policy.allow_logprobs));
  BULKHEAD_CHECK_OK(read_text(object, "system_prompt", policy.system_prompt));
  BULKHEAD_CHECK_OK(read_text(object, "chat_model", policy.chat_model));
  BULKHEAD_CHECK_OK(read_models(object["allowed_models"], policy.allowed_models));
  BULKHEAD_CHECK_OK(read_engine(object["engine"], policy.engine));
  BULKHEAD_CHECK_OK(read_text(object, "store", policy.store));
  BULKHEAD_CHECK_OK(read_limits(object["limits"], policy.limits));
  return policy;
}

std::string TenantPolicy::to_json() const {
  json::Writer w;
  w.begin_object()
      .member("retrieval", retrieval_name(retrieval))
      .member("relevance_threshold", relevance_threshold)
      .member("keep_chats", keep_chats)
      .member("kept_chat_days", static_cast<std::int64_t>(kept_chat_days))
      .member("allow_logprobs", allow_logprobs)
      .member("system_prompt", system_prompt)
      .member("chat_model", chat_model)
      .member("store", store);
  w.key("allowed_models").begin_array();
  for (const std::string& model : allowed_models) w.value(model);
  w.end_array();
  w.key("engine").begin_object();
  w.member("prefix_cache", prefix_cache_name(engine.prefix_cache))
      .member("prefix_cache_seconds", static_cast<std::int64_t>(engine.prefix_cache_seconds))
      .member("batching", batching_name(engine.batching))
      .member("engine", engine_name(engine.engine))
      .member("burn", burn_name(engine.burn))
      .member("prefix_isolation", prefix_isolation_name(engine.prefix_isolation))
      .member("weight", static_cast<std::int64_t>(engine.weight))
      .member("stream_padding_bytes", static_cast<std::int64_t>(engine.stream_padding_bytes))
      .member("stream_cadence_ms", static_cast<std::int64_t>(engine.stream_cadence_ms))
      .end_object();
  w.key("limits").begin_object();
  w.member("requests_per_minute", static_cast<std::int64_t>(limits.requests_per_minute))
      .member("tokens_per_minute", static_cast<std::int64_t>(limits.tokens_per_minute))
      .member("concurrent_requests", static_cast<std::int64_t>(limits.concurrent_requests))
      .member("user_requests_per_minute", static_cast<std::int64_t>(limits.user_requests_per_minute))
      .member("user_tokens_per_minute", static_cast<std::int64_t>(limits.user_tokens_per_minute))
      .member("user_concurrent_requests", static_cast<std::int64_t>(limits.user_concurrent_requests))
      .member("storage_bytes_max", static_cast<std::int64_t>(limits.storage_bytes_max))
      .member("files_max", static_cast<std::int64_t>(limits.files_max))
      .member("vector_stores_max", static_cast<std::int64_t>(limits.vector_stores_max))
      .member("kept_chats_max", static_cast<std::int64_t>(limits.kept_chats_max))
      .member("api_keys_max", static_cast<std::int64_t>(limits.api_keys_max))
      .end_object();
  w.end_object();
  return w.take();
}

}  // namespace bulkhead::tenancy
