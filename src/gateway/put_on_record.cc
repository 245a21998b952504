#include "gateway/put_on_record.h"

#include "gateway/api_error.h"
#include "gateway/routes.h"

namespace bulkhead::gateway {

using audit::Event;
using base::Error;
using base::Result;
using base::Task;

namespace {

// The id that the path names, if it has the form of one of ours: a path is never recorded as it stands.
std::string target_of(const Call& call) {
  if (call.captures.empty()) return "";
  const std::string& id = call.captures.back();
  if (call.route->audience == Audience::Operator) return call.record.tenant;
  for (std::string_view prefix : {base::FileTag::prefix, base::VectorStoreTag::prefix, base::ChatTag::prefix,
                                  base::ApiKeyTag::prefix}) {
    if (id.starts_with(prefix) && base::is_identifier(id)) return id;
  }
  return "";
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
