// Tools and answer formats of a chat request, read strictly as OpenAI documents them and within
// bounds: at most 128 tools, schemas of at most 64 KiB and 32 levels, names [a-zA-Z0-9_-]{1,64}.
//
// What a schema would cost the engine is found out before it is asked (guard/answer_schema.h); an error names
// the place in the schema.
//
// Words of a schema that a model reads (title, description) go through the text policy as a prompt
// does. All other strings of it are names and values that the answer must repeat exactly, so one that
// the policy would change is refused instead.
#pragma once

#include <string_view>

#include "base/json.h"
#include "engine/engine.h"
#include "gateway/dto.h"
#include "guard/text_policy.h"

namespace bulkhead::gateway {

inline constexpr std::size_t kToolsMax = 128;
inline constexpr std::size_t kSchemaBytesMax = 64u << 10;
inline constexpr std::size_t kSchemaDepthMax = 32;

// [a-zA-Z0-9_-]{1,64}
bool is_function_name(std::string_view name);

// `tools`, `tool_choice`, `parallel_tool_calls`. Returns how many tools there are.
std::size_t read_tools(ObjectReader& reader, engine::ChatRequest& request, guard::TextFindings& findings);
// `response_format`.
void read_response_format(ObjectReader& reader, engine::ChatRequest& request, guard::TextFindings& findings);
// An assistant message's `tool_calls`.
base::Result<std::vector<engine::ToolCall>> read_earlier_calls(const base::json::Value& list,
                                                               const std::string& name,
                                                               guard::TextFindings& findings);

}  // namespace bulkhead::gateway
