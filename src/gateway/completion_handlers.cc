// POST /v1/completions: text goes on from a raw prompt. Nothing is retrieved and no system prompt is
// laid before it, so a tenant that answers from its documents only, or under a system prompt of its own,
// does not have this route.
#include "crypto/random.h"
#include "gateway/completion_request.h"
#include "gateway/dto.h"
#include "gateway/generation.h"
#include "gateway/model_access.h"
#include "gateway/prompt_bounds.h"

namespace bulkhead::gateway {

HandlerResult create_completion(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(document, read_json_object(call.request()));
  BULKHEAD_CO_CHECK_OK(check_body_may_fit(call, document.root()));
  BULKHEAD_CO_TRY(body, parse_completion_body(document.root()));
  const tenancy::TenantPolicy& policy = call.scope().record().policy;
  if (policy.retrieval == tenancy::RetrievalMode::Required) {
    co_return api_error(
        ApiError::UnsupportedParameter,
        "'prompt': this tenant answers from its documents only, and /v1/completions retrieves "
        "nothing. Use /v1/chat/completions.",
        "prompt");
  }
  if (!policy.system_prompt.empty()) {
    co_return api_error(ApiError::UnsupportedParameter,
                        "'prompt': this tenant's policy sets a system prompt, and a raw prompt would go "
                        "round it. Use /v1/chat/completions.",
                        "prompt");
  }
  BULKHEAD_CO_CHECK_OK(check_policy(call, body.request));
  BULKHEAD_CO_TRY(model, resolve_chat_model(call, body.request.model));
  BULKHEAD_CO_CHECK_OK(check_text_fits(call, model, body.request.prompt->size(), "prompt"));
  Plan plan;
  plan.request = std::move(body.request);
  plan.request.model = model;
  plan.stream_options = body.stream_options;
  plan.head.shape = AnswerShape::Text;
  plan.head.id = "cmpl-" + crypto::random_id();
  plan.head.model = model;
  plan.head.created = call.services.clock.unix_seconds();
  plan.head.request_id = call.id.str();
  plan.head.outcome = "off";
  describe_request(call, plan.request, 0);
  if (body.findings.suspicious()) call.record.note = "smuggling_signs_cleaned";
  call.record.retrieval_mode = plan.head.outcome;
  co_return co_await answer(call, std::move(plan));
}

}  // namespace bulkhead::gateway
