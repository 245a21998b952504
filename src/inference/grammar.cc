#include "inference/grammar.h"

#include <utility>

#include "guard/answer_pattern.h"
#include "llama-common/json-schema-to-grammar.h"

namespace bulkhead::inference {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kSchemaBytesMax = 64 << 10;
constexpr std::size_t kSchemaDepthMax = 32;
constexpr std::size_t kSchemaNodesMax = 8'192;
constexpr std::size_t kGrammarBytesMax = 512 << 10;

Error bad(std::string what) { return Error(InferenceError::BadGrammar, std::move(what)); }

// Values that stand for themselves, whatever they look like.
bool holds_values(std::string_view key) {
  return key == "const" || key == "enum" || key == "default" || key == "examples" || key == "required";
}

void write_converted(json::Writer& out, const json::Value& value) {
  if (value.is_array()) {
    out.begin_array();
    for (std::size_t i = 0; i < value.size(); ++i) write_converted(out, value.at(i));
    out.end_array();
    return;
  }
  if (!value.is_object()) {
    out.copy(value);
    return;
  }
  out.begin_object();
  for (std::size_t i = 0; i < value.size(); ++i) {
    std::string_view key = value.key_at(i);
    json::Value member = value.at(i);
    out.key(key);
    if (key == "pattern" && member.is_string()) {
      out.value(guard::read_answer_pattern(*member.as_string()).rewritten);
    } else if (holds_values(key)) {
      out.copy(member);
    } else {
      write_converted(out, member);
    }
  }
  out.end_object();
}

// llama.cpp's converter recurses by the JSON's depth.
std::size_t depth_of(const json::Value& value, std::size_t bound) {
  if (bound == 0) return 1;
  std::size_t deepest = 0;
  for (std::size_t i = 0; i < value.size(); ++i) {
    deepest = std::max(deepest, depth_of(value.at(i), bound - 1));
  }
  return deepest + 1;
}

}  // namespace

Result<std::string> convertible_schema(const json::Value& schema, guard::SchemaCheck& check) {
  if (!schema.is_object()) return bad("The schema must be an object.");
  if (depth_of(schema, kSchemaDepthMax) > kSchemaDepthMax) return bad("The schema is nested too deep.");
  if (auto fault = check.check(schema)) return bad("The schema" + fault->place + " " + fault->what);
  json::Writer out;
  write_converted(out, schema);
  if (out.text().size() > kSchemaBytesMax) return bad("The schema is too large.");
  return out.take();
}

Result<std::shared_ptr<const Grammar>> grammar_of_schema(const std::string& schema) {
  std::string text;
  try {
    text = json_schema_to_grammar(common_json::parse(schema));
  } catch (const std::exception& error) {
    return Error(InferenceError::BadGrammar, "The schema can't be turned into a grammar.", error.what());
  }
  if (text.size() > kGrammarBytesMax) return bad("The schema is too large to constrain an answer by.");
  return Grammar::compile(text);
}

Result<std::shared_ptr<const Grammar>> checked_grammar(std::string_view schema) {
  json::Limits limits{kSchemaBytesMax, kSchemaDepthMax, kSchemaNodesMax};
  auto document = json::Document::parse(schema, limits);
  if (!document) return bad("The schema can't be read: " + document.error().message());
  guard::SchemaCheck check;
  BULKHEAD_TRY(text, convertible_schema(document->root(), check));
  return grammar_of_schema(text);
}

}  // namespace bulkhead::inference
