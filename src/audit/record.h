// One audit record: what happened, by whom, decided how. Holds ids, counts and keyed hashes only,
// never text a user typed, read or received (invariant I7). docs/audit-format.md is the schema.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace bulkhead::audit {

// Kinds of events. A chat request is two records with one request id: `RequestStarted` (durable
// before the first answer byte) and `RequestEnded` (outcome, counts, burn).
enum class Event {
  RequestStarted,
  RequestEnded,
  RequestRefused,
  RequestFailed,
  AuthenticationFailed,
  FileUploaded,
  FileDeleted,
  FileRead,
  StoreChanged,
  Search,
  ApiKeyCreated,
  ApiKeyRevoked,
  TenantCreated,
  TenantChanged,
  TenantSuspended,
  TenantResumed,
  TenantDestroyed,
  PlatformKeyRotated,
  KeyRotationStarted,
  TenantKeyRotated,
  TenantKeyLost,
  TenantKeyReturned,
  DataErased,
  TenantBackedUp,
  TenantRestored,
  TenantMoveStarted,
  TenantMoved,
  AuditRead,
  ConfigReloaded,
  ServiceStarted,
  ServiceStopped,
  EngineStarted,
  EngineDied,
  ModelLoaded,
  ModelAdded,
  ModelReplaced,
  ModelShareSet,
  ModelRemoved,
  ReindexingStarted,
  DocumentsReindexed,
  SealBroken,
  AuditHeadAccepted,
  OperatorKeyCreated,
  OperatorKeyRevoked,
};
std::string_view event_name(Event event);

struct Record {
  base::WallTime time{};
  Event event = Event::RequestStarted;
  std::string tenant;         // "" for the platform's own
  std::string principal;      // keyed hash of the user, or "operator", or "" when unknown
  std::string credential;     // "jwt", "api_key", ""
  std::string credential_id;  // API key id or keyed hash of jti
  std::string address;        // of the direct network peer, "" for a Unix socket and what no client asked for
  std::string request_id;
  std::string session;   // keyed hash
  std::string action;    // permission name: "chat.create"
  std::string decision;  // "allow", "deny"
  std::string reason;    // decision reason or error code
  std::string route;     // route pattern, never the raw path: "/v1/files/{id}"
  int status = 0;        // HTTP status, when known
  std::string model;
  std::optional<std::int64_t> choices, tools;  // answers asked for to one prompt; tools offered
  std::string prompt_hash;                     // TenantScope::audit_hash
  std::string output_hash;
  std::optional<std::int64_t> prompt_tokens, completion_tokens, output_bytes;
  std::string finish_reason;
  std::vector<std::string> retrieval_ids;  // "file-x#3"
  std::string retrieval_mode;              // "answered", "below_threshold", "off", ""
  std::optional<double> retrieval_score;
  std::string reranked_by;  // id of the model that ordered what was found
  std::optional<std::int64_t> latency_micros;
  std::optional<bool> burned;
  std::string target;     // id acted on: file, store, key, tenant
  std::string for_user;   // keyed hash: whom a new API key acts as
  std::string statement;  // an operator's own words (why a tenant is suspended); nothing else
  std::string note;       // fixed phrases of ours only
};

// The record's members (no braces, no seq/prev) in the schema's order; absent ones are left out.
std::string record_members(const Record& record);

}  // namespace bulkhead::audit
