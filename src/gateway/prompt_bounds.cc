#include "gateway/prompt_bounds.h"

#include <algorithm>

#include "gateway/model_access.h"

namespace bulkhead::gateway {

namespace json = base::json;
using base::Error;
using base::Result;

Result<void> check_text_fits(Call& call, const std::string& model, std::size_t bytes,
                             const std::string& parameter) {
  for (const engine::ModelInfo& info : call.services.engine.models()) {
    if (info.id != model || info.context <= 0 || info.token_bytes_max <= 0) continue;
    const auto most =
        static_cast<std::uint64_t>(info.context) * static_cast<std::uint64_t>(info.token_bytes_max);
    if (bytes <= most) return Result<void>();
    // Like an estimate, it is at most a minute's tokens, so that one large body is no debt of hours.
    const tenancy::TenantLimits& limits = call.scope().record().policy.limits;
    call.admission.use(
        std::min({engine::estimated_tokens(bytes), static_cast<std::int64_t>(limits.tokens_per_minute),
                  static_cast<std::int64_t>(limits.user_tokens_per_minute)}));
    return Error(engine::EngineError::ContextExceeded,
                 "'" + parameter + "' can't fit into the model's context: its " +
                     std::to_string(info.context) + " tokens are at most " + std::to_string(most) +
                     " bytes of text. Shorten it.")
        .with_parameter(parameter);
  }
  return Result<void>();
}

Result<void> check_body_may_fit(Call& call, const json::Value& root) {
  auto model = resolve_chat_model(call, std::string(root["model"].as_string().value_or("")));
  if (!model) return Result<void>();
  auto bytes_of = [](const json::Value& text) { return text.as_string().value_or("").size(); };
  std::size_t bytes = bytes_of(root["prompt"]);
  json::Value messages = root["messages"];
  for (std::size_t i = 0; i < messages.size(); ++i) {
    json::Value content = messages.at(i)["content"];
    bytes += bytes_of(content);
    for (std::size_t k = 0; content.is_array() && k < content.size(); ++k) {
      bytes += bytes_of(content.at(k)["text"]);
    }
  }
  return check_text_fits(call, *model, bytes / 2, messages.exists() ? "messages" : "prompt");
}

Result<void> check_messages_fit(Call& call, const std::string& model,
                                const std::vector<engine::Message>& messages) {
  std::size_t bytes = 0;
  for (const engine::Message& message : messages) bytes += message.content.size();
  return check_text_fits(call, model, bytes, "messages");
}

}  // namespace bulkhead::gateway
