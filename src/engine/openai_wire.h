// The OpenAI wire format as an engine speaks it: bodies out, answers and event streams in.
// Pure functions on strings, no I/O. Nothing of a tenant, session or slot is ever put into a body.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engine/engine.h"

namespace bulkhead::engine::wire {

std::string chat_body(const ChatRequest& request);
std::string embeddings_body(std::string_view model, const std::vector<std::string>& texts);
std::string tokenize_body(std::string_view model, const std::vector<std::string>& texts);

base::Result<Completion> parse_completion(std::string_view body);
base::Result<std::vector<std::vector<float>>> parse_embeddings(std::string_view body,
                                                               std::size_t expected);
base::Result<std::vector<std::int64_t>> parse_token_counts(std::string_view body,
                                                           std::size_t expected);
base::Result<std::vector<ModelInfo>> parse_models(std::string_view body);

// One event of a chat stream: appends its text to `text` and what it says of the end to `result`.
base::Result<void> read_chunk(std::string_view event, std::string& text, Completion& result);

// An answer with an error status as an error of ours. The upstream's words go to `detail` only by
// their code, since an upstream's message may quote the prompt.
base::Error read_error(int status, std::string_view body);

}  // namespace bulkhead::engine::wire
