#include "gateway/put_on_record.h"

#include "base/ids.h"
#include "gateway/api_error.h"
#include "gateway/routes.h"

namespace bulkhead::gateway {

using audit::Event;
using base::Error;
using base::Result;
using base::Task;

namespace {

constexpr std::size_t kRandomDigitsMin = 12, kRandomDigitsMax = 26;  // of crypto::random_id, in ids of ours
constexpr std::string_view kFileHash = "sha256:";                    // of a model; checked where it is read

// What an erasure of a user's data has as its target: the name stays out of the log.
constexpr std::string_view kUser = "user";

// The id that the path of a change names.
std::string target_of(const Call& call) {
  if (call.route->audience == Audience::Operator) return call.record.tenant;
  if (call.captures.empty() || !is_made_id(call.captures.back())) return "";
  return call.captures.back();
}

// A target is an id of ours or a name that an operator gave; what else a client may have sent as one is text.
bool is_recordable(std::string_view target, Audience audience) {
  if (target.empty() || target == kUser) return true;
  if (audience == Audience::Operator && (base::is_tenant_name(target) || target.starts_with(kFileHash))) {
    return true;
  }
  while (true) {  // a store's and a file's
    const std::size_t slash = target.find('/');
    if (!is_made_id(target.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    target.remove_prefix(slash + 1);
  }
}

Error outcome_unrecorded(const Error& why) {
  return Error(
      audit::AuditError::OutcomeUnrecorded,
      "The change may have been made: that it was about to be made is on record, but what came of it "
      "could not be recorded. Look before you send it again.",
      why.detail());
}

bool is_anonymous(const Call& call) { return !call.principal; }

Event event_of(const Call& call, Ending ending) {
  if (ending.failed && call.record.decision == "deny") {
    return is_anonymous(call) ? Event::AuthenticationFailed : Event::RequestRefused;
  }
  // What was asked for did not happen, so the record must not read as if it had.
  if (ending.failed && call.route->event != Event::RequestEnded) return Event::RequestFailed;
  return call.route->event;
}

// Refusals of what was never begun can be repeated for nothing, so they are counted. A stranger's gives
// nothing away and doesn't wait for its record.
Task<Result<void>> record_refusal(Call& call) {
  auto first = call.services.refusals.add(call.record);
  if (!first || is_anonymous(call)) co_return Result<void>();
  auto durable = co_await first->durable();
  if (durable) co_return Result<void>();
  call.services.refusals.count(call.record);
  co_return durable.take_error();
}

}  // namespace

bool is_made_id(std::string_view text) {
  for (std::string_view prefix : {base::FileTag::prefix, base::VectorStoreTag::prefix, base::ChatTag::prefix,
                                  base::ApiKeyTag::prefix}) {
    if (!text.starts_with(prefix)) continue;
    const std::string_view random = text.substr(prefix.size());
    return random.size() >= kRandomDigitsMin && random.size() <= kRandomDigitsMax &&
           random.find_first_not_of("abcdefghijklmnopqrstuvwxyz234567") == std::string_view::npos;
  }
  return false;
}

Task<Result<void>> announce_change(Call& call) {
  if (!call.services.config.audit.announce_changes) co_return Result<void>();  // the control experiment
  audit::Record intent = call.record;
  intent.event = Event::ChangeIntended;
  intent.intended = audit::event_name(call.route->event);
  intent.decision = "allow";
  intent.target = target_of(call);
  auto durable = co_await call.services.audit.append(intent).durable();
  if (!durable) co_return durable.take_error();
  call.announced = true;
  call.record.concludes = true;
  co_return Result<void>();
}

Task<Result<void>> record_ending(Call& call, Ending ending) {
  call.record.event = event_of(call, ending);
  if (call.route && !is_recordable(call.record.target, call.route->audience)) call.record.target.clear();
  const bool begun = call.announced || call.started;
  if (!begun && ending.failed && (is_anonymous(call) || call.record.decision == "deny")) {
    co_return co_await record_refusal(call);
  }
  call.record.concludes = begun;
  audit::Log::Ticket ticket = call.services.audit.append(call.record);
  if (ending.streamed) co_return Result<void>();
  // A generation's RequestStarted is durable already or is awaited here; other answers wait for their one
  // record.
  auto durable = call.started ? co_await call.started->durable() : co_await ticket.durable();
  if (durable) co_return Result<void>();
  if (call.announced) co_return outcome_unrecorded(durable.error());
  co_return durable.take_error();
}

}  // namespace bulkhead::gateway
