// The OpenAI wire format as an engine speaks it: bodies out. Pure functions, no I/O. Nothing of a tenant,
// session or slot is ever put into a body here; what an external engine needs beyond OpenAI's members is
// written by its own dialect.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "engine/engine.h"

namespace bulkhead::engine::wire {

// "/v1/chat/completions", or "/v1/completions" for a raw prompt.
std::string_view generation_path(const ChatRequest& request);
std::string generation_body(const ChatRequest& request);
// For our own worker, whose whole answers come as a stream too: with the usage as it grows, and all choices
// at the end (docs/engine-protocol.md).
std::string worker_generation_body(const ChatRequest& request);
// The members alone, into an object that is open: a dialect adds its own and closes it.
void write_generation_members(base::json::Writer& writer, const ChatRequest& request);

std::string embeddings_body(std::string_view model, const std::vector<std::string>& texts);
// In the form of Jina's API, which the stock llama.cpp server takes too.
std::string rerank_body(std::string_view model, std::string_view query,
                        const std::vector<std::string>& documents);
std::string tokenize_body(std::string_view model, const std::vector<std::string>& texts);
std::string burn_body(const BurnTarget& target);

// One message in OpenAI's form.
void write_message(base::json::Writer& writer, const Message& message);
void write_tool_calls(base::json::Writer& writer, const std::vector<ToolCall>& calls);

}  // namespace bulkhead::engine::wire
