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

// Kinds of events. A request that changes something is two records with one request id: `ChangeIntended`
// (durable before the change begins) and the event that says what came of it; `OutcomeUnknown` stands for the
// second one where a crash came between. A chat request is two records with one request id: `RequestStarted`
// (durable before the first answer byte) and `RequestEnded` (outcome, counts, burn).
enum class Event {
  RequestStarted,
  RequestEnded,
  RequestRefused,
  RequestFailed,
  RefusalsCounted,
  ChangeIntended,
  OutcomeUnknown,
  ChangePaused,
  ChatsExpired,
  AuthenticationFailed,
  FileUploaded,
  FileDeleted,
  FileRead,
  ChatDeleted,
  SessionEnded,
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
  std::string intended;  // with ChangeIntended and OutcomeUnknown: name of the event that the change would be
  std::string decision;  // "allow", "deny"
  std::string reason;    // decision reason or error code
  std::string route;     // route pattern, never the raw path: "/v1/files/{id}"
  int status = 0;        // HTTP status, when known
  std::string model;
  std::optional<std::int64_t> choices, tools;  // answers asked for to one prompt; tools offered
  std::string prompt_hash;                     // TenantScope::audit_hash
  std::string output_hash;
  std::optional<std::int64_t> prompt_tokens, completion_tokens, output_bytes;
  std::optional<bool> tokens_estimated;          // some of these is not the engine's own count
  std::optional<std::int64_t> retrieval_tokens;  // read by the embedding and the rerank model
  std::string finish_reason;
  std::vector<std::string> retrieval_ids;  // "file-x#3"
  std::string retrieval_mode;              // "answered", "below_threshold", "off", ""
  std::optional<double> retrieval_score;
  std::string reranked_by;  // id of the model that ordered what was found
  std::optional<std::int64_t> latency_micros;
  // With RefusalsCounted: how many, the first one and the last one. With ChatsExpired: how many.
  std::optional<std::int64_t> count;
  std::optional<base::WallTime> first_time, last_time;
  std::optional<bool> burned;
  std::string target;     // id acted on: file, store, key, tenant
  std::string for_user;   // keyed hash: whom a new API key acts as
  std::string statement;  // an operator's own words (why a tenant is suspended); nothing else
  std::string note;       // fixed phrases of ours only

  // Not written: concludes what an earlier durable record began, so it may use the log's reserve.
  bool concludes = false;
};

// Whether the record may use the space that is kept for it on a full disk: operators' acts, what the system
// says by itself, and the ends of what began. Nobody's requests can fill that space.
bool may_use_reserve(const Record& record);
// Whether the record takes from its tenant's share of the log: what its principals do.
bool takes_from_share(const Record& record);

// The record's members (no braces, no seq/prev) in the schema's order; absent ones are left out.
std::string record_members(const Record& record);

}  // namespace bulkhead::audit
