#include "gateway/prompt_bounds.h"

namespace bulkhead::gateway {

using base::Error;
using base::Result;

Result<void> check_text_fits(const Call& call, const std::string& model, std::size_t bytes,
                             const std::string& parameter) {
  for (const engine::ModelInfo& info : call.services.engine.models()) {
    if (info.id != model || info.context <= 0 || info.token_bytes_max <= 0) continue;
    const auto most =
        static_cast<std::uint64_t>(info.context) * static_cast<std::uint64_t>(info.token_bytes_max);
    if (bytes <= most) return Result<void>();
    return Error(engine::EngineError::ContextExceeded,
                 "'" + parameter + "' can't fit into the model's context: " + std::to_string(bytes) +
                     " bytes, and its " + std::to_string(info.context) + " tokens are at most " +
                     std::to_string(most) + ". Shorten it.")
        .with_parameter(parameter);
  }
  return Result<void>();
}

Result<void> check_messages_fit(const Call& call, const std::string& model,
                                const std::vector<engine::Message>& messages) {
  std::size_t bytes = 0;
  for (const engine::Message& message : messages) bytes += message.content.size();
  return check_text_fits(call, model, bytes, "messages");
}

}  // namespace bulkhead::gateway
