#include "inference/grammar.h"

#include <cctype>
#include <utility>
#include <vector>

#include "base/json.h"
#include "llama-common/json-schema-to-grammar.h"

namespace bulkhead::inference {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kSchemaBytesMax = 64 << 10;
constexpr std::size_t kSchemaDepthMax = 32;
constexpr std::size_t kSchemaNodesMax = 4'096;
constexpr std::int64_t kRepetitionMax = 1'000;
constexpr std::size_t kGrammarBytesMax = 512 << 10;

Error bad(std::string what) { return Error(InferenceError::BadGrammar, std::move(what)); }

// Keywords that count repetitions: each is unrolled in the grammar.
bool counts(std::string_view key) {
  return key == "minLength" || key == "maxLength" || key == "minItems" || key == "maxItems";
}

Result<void> check(const json::Value& value) {
  for (std::size_t i = 0; i < value.size(); ++i) {
    json::Value member = value.at(i);
    if (value.is_object()) {
      std::string_view key = value.key_at(i);
      auto number = member.as_int();
      if (counts(key) && number && (*number < 0 || *number > kRepetitionMax)) {
        return bad("\"" + std::string(key) + "\" may be at most " + std::to_string(kRepetitionMax) + ".");
      }
      auto text = member.as_string();
      if (key == "pattern" && text && !is_plain_pattern(*text)) {
        return bad(
            "A pattern must begin with ^, end with $ and use nothing beyond classes, groups and repetition.");
      }
      if (key == "pattern" && text && has_nested_repetition(*text)) {
        return bad("The pattern repeats a group that repeats itself, which is not served.");
      }
      if (key == "$ref" && text && !text->starts_with("#")) {
        return bad("\"$ref\" may point inside the schema only (\"#/...\").");
      }
    }
    BULKHEAD_CHECK_OK(check(member));
  }
  return Result<void>();
}

}  // namespace

bool has_nested_repetition(std::string_view pattern) {
  std::vector<bool> repeats;  // per open group: has it a repetition inside
  bool in_class = false, group_closed = false, inner = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    char c = pattern[i];
    bool after_group = std::exchange(group_closed, false);
    if (c == '\\') {
      ++i;
    } else if (in_class) {
      in_class = c != ']';
    } else if (c == '[') {
      in_class = true;
    } else if (c == '(') {
      repeats.push_back(false);
    } else if (c == ')' && !repeats.empty()) {
      inner = repeats.back();
      repeats.pop_back();
      if (inner && !repeats.empty()) repeats.back() = true;
      group_closed = true;
    } else if (c == '*' || c == '+' || c == '{') {
      if (after_group && inner) return true;
      if (!repeats.empty()) repeats.back() = true;
    }
  }
  return false;
}

bool is_plain_pattern(std::string_view pattern) {
  if (pattern.size() < 2 || pattern.front() != '^' || pattern.back() != '$') return false;
  std::string_view inside = pattern.substr(1, pattern.size() - 2);
  int depth = 0;
  bool in_class = false;
  for (std::size_t i = 0; i < inside.size(); ++i) {
    char c = inside[i];
    char next = i + 1 < inside.size() ? inside[i + 1] : '\0';
    if (c == '\\') {
      // Classes and escaped punctuation; no back references, boundaries or properties.
      bool known =
          next == 'd' || next == 'w' || next == 's' || std::ispunct(static_cast<unsigned char>(next));
      if (!known) return false;
      ++i;
    } else if (in_class) {
      in_class = c != ']';
    } else if (c == '[') {
      in_class = true;
    } else if (c == '(') {
      if (next == '?') return false;  // look-around and the like
      ++depth;
    } else if (c == ')') {
      if (--depth < 0) return false;
    } else if (c == '^' || c == '$') {
      return false;
    }
  }
  return depth == 0 && !in_class;
}

Result<std::string> grammar_of_schema(std::string_view schema) {
  json::Limits limits{kSchemaBytesMax, kSchemaDepthMax, kSchemaNodesMax};
  auto document = json::Document::parse(schema, limits);
  if (!document) return bad("The schema can't be read: " + document.error().message());
  if (!document->root().is_object()) return bad("The schema must be an object.");
  BULKHEAD_CHECK_OK(check(document->root()));
  try {
    std::string grammar = json_schema_to_grammar(common_json::parse(std::string(schema)));
    if (grammar.size() > kGrammarBytesMax) return bad("The schema is too large to constrain an answer by.");
    return grammar;
  } catch (const std::exception& error) {
    return Error(InferenceError::BadGrammar, "The schema can't be turned into a grammar.", error.what());
  }
}

}  // namespace bulkhead::inference
