// DELETE /v1/bulkhead/session: the caller's engine session ends, what was kept for it is burned.
#include "base/scrub.h"
#include "gateway/dto.h"
#include "gateway/handlers.h"
#include "gateway/session.h"

namespace bulkhead::gateway {

using base::Result;

HandlerResult end_session(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  std::string session = session_of(call.scope(), call.id);
  call.record.session = call.scope().audit_hash(session);
  engine::BurnTarget target{call.scope().tenant(), std::move(session), call.id.str()};
  auto burned = co_await call.services.engine.burn_kept(std::move(target));
  if (!burned) co_return burned.take_error();
  call.record.burned = burned->verified();
  BurnFacts facts;
  facts.request_id = call.id.str();
  facts.action = "session.end";
  facts.engine = std::move(*burned);
  facts.gateway_heap_wiped = base::heap_scrubbing_linked() && base::heap_scrubbing();
  call.services.receipts.add(call.scope(), std::move(facts));
  auto receipt = call.services.receipts.find(call.scope(), call.id.str());
  if (!receipt) co_return not_found("burn receipt");
  co_return Reply::json(200, std::move(*receipt));
}

}  // namespace bulkhead::gateway
