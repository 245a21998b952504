// Answer formats as GBNF grammars.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "inference/error.h"

namespace bulkhead::inference {

// `response_format` json_schema: `schema` is JSON text. BadGrammar says what can't be honoured: nothing is
// served unconstrained in its place. Schemas are bounded in size and depth; patterns whose matching could
// take time out of proportion (a repeated group that holds a repetition) are refused, since the grammar
// runs between two tokens of every tenant.
base::Result<std::string> grammar_of_schema(std::string_view schema);

// Whether a regular expression repeats a group that itself repeats: "(a+)*".
bool has_nested_repetition(std::string_view pattern);
// Whether a regular expression is of the part that can be honoured: anchored at both ends, made of
// characters, classes, groups, alternatives and counted repetitions.
bool is_plain_pattern(std::string_view pattern);

}  // namespace bulkhead::inference
