// The OpenAI wire format as an engine speaks it: answers and errors in. Bodies out are openai_body.h,
// event streams stream_reader.h. Pure functions on strings, no I/O.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engine/engine.h"

namespace bulkhead::engine::wire {

// `expected` choices; `raw_prompt` for the older form of /v1/completions.
base::Result<Completion> parse_completion(std::string_view body, std::size_t expected, bool raw_prompt);
base::Result<base::BurnReport> parse_burn_kept(std::string_view body);
base::Result<Embeddings> parse_embeddings(std::string_view body, std::size_t expected);
// Every one of `expected` documents has one finite score, or it is no answer.
base::Result<Ranking> parse_ranking(std::string_view body, std::size_t expected);
base::Result<std::vector<std::int64_t>> parse_token_counts(std::string_view body, std::size_t expected);
base::Result<std::vector<ModelInfo>> parse_models(std::string_view body);

// Parts of an answer, shared with the stream reader.
// Nothing where the engine says nothing of it.
std::optional<Usage> read_usage(const base::json::Value& usage);
// What an engine told, held against what was counted of its answer: never less. `bytes`: of texts and calls.
Usage reckon_usage(std::optional<Usage> told, std::int64_t counted, std::size_t bytes);
std::size_t bytes_of(const Choice& choice);
// A call's id where it has an id's shape, else one made from its place.
std::string tool_call_id(std::string_view id, std::size_t place);
void read_burn(const base::json::Value& root, Completion& result);
base::Result<void> read_tool_calls(const base::json::Value& list, std::vector<ToolCall>& calls);
// OpenAI's members of a `logprobs` object as JSON text, in either of its two forms; "" for none.
std::string copy_logprobs(const base::json::Value& logprobs);

base::Error bad_answer(std::string detail);
// An answer with an error status as an error of ours. The upstream's words go to `detail` only by
// their code, since an upstream's message may quote the prompt.
base::Error read_error(int status, std::string_view body);

}  // namespace bulkhead::engine::wire
