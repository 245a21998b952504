// Answer formats: JSON schemas as grammars, and the bounds on both.
// Thread safety: pure functions; may be slow, so not on a thread that others wait for.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "guard/answer_schema.h"
#include "inference/error.h"
#include "inference/gbnf.h"

namespace bulkhead::inference {

// The schema's text in the converter's dialect, after the request's bounds were asked about it (the gateway
// asks the same, and tells the client where it goes wrong). BadGrammar: nothing is served unconstrained in
// its place.
base::Result<std::string> convertible_schema(const base::json::Value& schema, guard::SchemaCheck& check);
// `response_format` json_schema: `schema` is a text that `convertible_schema` gave.
base::Result<std::shared_ptr<const Grammar>> grammar_of_schema(const std::string& schema);
// Both, of one schema as JSON text.
base::Result<std::shared_ptr<const Grammar>> checked_grammar(std::string_view schema);

}  // namespace bulkhead::inference
