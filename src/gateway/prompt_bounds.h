// Texts that can't fit a model, told from their bytes before the engine is asked: a model with a context of
// so many tokens, none of which stands for more than so many bytes, takes no more than the product.
// Tokenising megabytes to find that out would be the engine's time, which others wait for. A refused request
// is charged by its size, which takes the place of the estimate on admission (limits.h). Thread safety: as
// the call's.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "gateway/call.h"

namespace bulkhead::gateway {

// ContextExceeded about `parameter`. A model whose longest token isn't known (an external engine's) takes
// any.
base::Result<void> check_text_fits(Call& call, const std::string& model, std::size_t bytes,
                                   const std::string& parameter);
// The same of a body before its texts are cleaned, which is work on the reactor: by twice the bound and for
// half the charge, since cleaning takes characters away. Whatever isn't in order about the body passes;
// reading it finds out.
base::Result<void> check_body_may_fit(Call& call, const base::json::Value& root);
// The same for the contents of messages together.
base::Result<void> check_messages_fit(Call& call, const std::string& model,
                                      const std::vector<engine::Message>& messages);

}  // namespace bulkhead::gateway
