#include "audit/record.h"

#include "base/json.h"

namespace bulkhead::audit {

namespace {

using base::json::Writer;

void text(Writer& w, std::string_view name, std::string_view value) {
  if (!value.empty()) w.member(name, value);
}

void number(Writer& w, std::string_view name, const std::optional<std::int64_t>& value) {
  if (value) w.member(name, *value);
}

void time(Writer& w, std::string_view name, const std::optional<base::WallTime>& value) {
  if (value) w.member(name, base::rfc3339(*value));
}

}  // namespace

std::string_view event_name(Event event) {
  switch (event) {
    case Event::RequestStarted: return "request_started";
    case Event::RequestEnded: return "request_ended";
    case Event::RequestRefused: return "request_refused";
    case Event::RequestFailed: return "request_failed";
    case Event::RefusalsCounted: return "refusals_counted";
    case Event::ChangeIntended: return "change_intended";
    case Event::OutcomeUnknown: return "outcome_unknown";
    case Event::ChangePaused: return "change_paused";
    case Event::ChatsExpired: return "chats_expired";
    case Event::AuthenticationFailed: return "authentication_failed";
    case Event::FileUploaded: return "file_uploaded";
    case Event::FileDeleted: return "file_deleted";
    case Event::FileRead: return "file_read";
    case Event::ChatDeleted: return "chat_deleted";
    case Event::SessionEnded: return "session_ended";
    case Event::StoreChanged: return "store_changed";
    case Event::Search: return "search";
    case Event::ApiKeyCreated: return "api_key_created";
    case Event::ApiKeyRevoked: return "api_key_revoked";
    case Event::TenantCreated: return "tenant_created";
    case Event::TenantChanged: return "tenant_changed";
    case Event::TenantSuspended: return "tenant_suspended";
    case Event::TenantResumed: return "tenant_resumed";
    case Event::TenantDestroyed: return "tenant_destroyed";
    case Event::PlatformKeyRotated: return "platform_key_rotated";
    case Event::KeyRotationStarted: return "key_rotation_started";
    case Event::TenantKeyRotated: return "tenant_key_rotated";
    case Event::TenantKeyLost: return "tenant_key_lost";
    case Event::TenantKeyReturned: return "tenant_key_returned";
    case Event::DataErased: return "data_erased";
    case Event::TenantBackedUp: return "tenant_backed_up";
    case Event::TenantRestored: return "tenant_restored";
    case Event::TenantMoveStarted: return "tenant_move_started";
    case Event::TenantMoved: return "tenant_moved";
    case Event::AuditRead: return "audit_read";
    case Event::ConfigReloaded: return "config_reloaded";
    case Event::ServiceStarted: return "service_started";
    case Event::ServiceStopped: return "service_stopped";
    case Event::EngineStarted: return "engine_started";
    case Event::EngineDied: return "engine_died";
    case Event::ModelLoaded: return "model_loaded";
    case Event::ModelAdded: return "model_added";
    case Event::ModelReplaced: return "model_replaced";
    case Event::ModelShareSet: return "model_share_set";
    case Event::ModelRemoved: return "model_removed";
    case Event::ReindexingStarted: return "reindexing_started";
    case Event::DocumentsReindexed: return "documents_reindexed";
    case Event::SealBroken: return "seal_broken";
    case Event::AuditHeadAccepted: return "audit_head_accepted";
    case Event::OperatorKeyCreated: return "operator_key_created";
    case Event::OperatorKeyRevoked: return "operator_key_revoked";
  }
  return "unknown";
}

bool may_use_reserve(const Record& record) {
  if (record.concludes) return true;
  // A stranger's request: a route, and nobody who is known.
  if (record.principal.empty() && !record.route.empty()) return false;
  return !takes_from_share(record);
}

bool takes_from_share(const Record& record) {
  if (record.tenant.empty() || record.principal == "operator") return false;
  // A principal whose tenant can't be opened has no name yet, but a credential.
  return !record.principal.empty() || !record.credential.empty();
}

std::string record_members(const Record& record) {
  Writer w;
  w.begin_object();
  w.member("time", base::rfc3339(record.time)).member("event", event_name(record.event));
  text(w, "tenant", record.tenant);
  text(w, "principal", record.principal);
  text(w, "credential", record.credential);
  text(w, "credential_id", record.credential_id);
  text(w, "address", record.address);
  text(w, "request_id", record.request_id);
  text(w, "session", record.session);
  text(w, "action", record.action);
  text(w, "intended", record.intended);
  text(w, "decision", record.decision);
  text(w, "reason", record.reason);
  text(w, "route", record.route);
  if (record.status != 0) w.member("status", record.status);
  text(w, "model", record.model);
  number(w, "choices", record.choices);
  number(w, "tools", record.tools);
  text(w, "prompt_hash", record.prompt_hash);
  text(w, "output_hash", record.output_hash);
  number(w, "prompt_tokens", record.prompt_tokens);
  number(w, "completion_tokens", record.completion_tokens);
  if (record.tokens_estimated) w.member("tokens_estimated", *record.tokens_estimated);
  number(w, "output_bytes", record.output_bytes);
  text(w, "finish_reason", record.finish_reason);
  if (!record.retrieval_ids.empty()) {
    w.key("retrieval_ids").begin_array();
    for (const std::string& id : record.retrieval_ids) w.value(id);
    w.end_array();
  }
  text(w, "retrieval", record.retrieval_mode);
  if (record.retrieval_score) w.member("retrieval_score", *record.retrieval_score);
  number(w, "retrieval_tokens", record.retrieval_tokens);
  text(w, "reranked_by", record.reranked_by);
  number(w, "latency_us", record.latency_micros);
  number(w, "count", record.count);
  time(w, "first_time", record.first_time);
  time(w, "last_time", record.last_time);
  if (record.burned) w.member("burned", *record.burned);
  text(w, "target", record.target);
  text(w, "for_user", record.for_user);
  text(w, "statement", record.statement);
  text(w, "note", record.note);
  w.end_object();
  std::string members = w.take();
  members.erase(0, 1);
  members.pop_back();
  return members;
}

}  // namespace bulkhead::audit
