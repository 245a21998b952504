#include "gateway/model_access.h"

#include <algorithm>

namespace bulkhead::gateway {

namespace {

const std::string& standard_model(const Call& call) {
  const std::string& own = call.scope().record().policy.chat_model;
  return own.empty() ? call.services.chat_model : own;
}

bool may_chat_with(const Call& call, const std::string& id) {
  const auto& allowed = call.scope().record().policy.allowed_models;
  return id == standard_model(call) || std::find(allowed.begin(), allowed.end(), id) != allowed.end();
}

}  // namespace

bool may_use_model(const Call& call, const engine::ModelInfo& model) {
  return model.kind != "chat" || may_chat_with(call, model.id);
}

base::Result<std::string> resolve_chat_model(const Call& call, const std::string& asked) {
  // A client that doesn't know our model's name may say "default".
  if (asked == "default") return standard_model(call);
  if (may_chat_with(call, asked)) return asked;
  return base::Error(engine::EngineError::ModelUnknown, "There is no model '" + asked.substr(0, 64) +
                                                            "'. GET /v1/models lists those you can use.")
      .with_parameter("model");
}

}  // namespace bulkhead::gateway
