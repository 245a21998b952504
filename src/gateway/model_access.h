// Which models a tenant may use: its own standard model, those its policy names, the embedding and
// the rerank model. Everything else looks as if it didn't exist (OWASP AISVS 5.2.1: deny by default).
#pragma once

#include <string>

#include "base/result.h"
#include "engine/engine.h"
#include "gateway/call.h"

namespace bulkhead::gateway {

bool may_use_model(const Call& call, const engine::ModelInfo& model);

// The id of the model that `asked` means; "default" is the tenant's standard model.
base::Result<std::string> resolve_chat_model(const Call& call, const std::string& asked);

}  // namespace bulkhead::gateway
