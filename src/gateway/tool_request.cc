#include "gateway/tool_request.h"

#include <algorithm>
#include <set>

#include "gateway/text_input.h"
#include "guard/answer_schema.h"

namespace bulkhead::gateway {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kNameBytesMax = 64;
constexpr std::size_t kCallIdBytesMax = 128;
constexpr std::size_t kDescriptionBytesMax = 16u << 10;
constexpr std::size_t kToolsBytesMax = 1u << 20;
constexpr std::size_t kPlaceBytesMax = 256;  // of a place in a schema that an error names

Error bad(const std::string& name, std::string_view what) {
  return api_error(ApiError::BadParameter, "'" + name + "' " + std::string(what), name);
}

Result<void> unchanged(std::string_view text, const std::string& name) {
  guard::TextFindings ignored;
  BULKHEAD_TRY(cleaned, clean_text(text, name, ignored));
  if (cleaned == text) return Result<void>();
  return bad(name, "holds a name or value with invisible or not normalised (NFC) characters.");
}

// Writes a schema with its prose cleaned.
struct SchemaWriter {
  const std::string& name;
  guard::TextFindings& findings;
  json::Writer out;

  Result<void> write(const json::Value& value, std::size_t depth, bool prose) {
    if (depth > kSchemaDepthMax) {
      return bad(name, "is nested more than " + std::to_string(kSchemaDepthMax) + " levels deep.");
    }
    if (auto text = value.as_string()) return write_text(*text, prose);
    if (value.is_array()) {
      out.begin_array();
      for (std::size_t i = 0; i < value.size(); ++i) BULKHEAD_CHECK_OK(write(value.at(i), depth + 1, false));
      out.end_array();
      return Result<void>();
    }
    if (!value.is_object()) {
      out.copy(value);
      return Result<void>();
    }
    out.begin_object();
    for (std::size_t i = 0; i < value.size(); ++i) {
      std::string_view key = value.key_at(i);
      BULKHEAD_CHECK_OK(unchanged(key, name));
      out.key(key);
      BULKHEAD_CHECK_OK(write(value.at(i), depth + 1, key == "description" || key == "title"));
    }
    out.end_object();
    return Result<void>();
  }

  Result<void> write_text(std::string_view text, bool prose) {
    if (prose) {
      BULKHEAD_TRY(cleaned, clean_text(text, name, findings));
      out.value(cleaned);
      return Result<void>();
    }
    BULKHEAD_CHECK_OK(unchanged(text, name));
    out.value(text);
    return Result<void>();
  }
};

// `check` is the request's: all its schemas share one budget.
Result<std::string> read_schema(const json::Value& schema, const std::string& name,
                                guard::TextFindings& findings, guard::SchemaCheck& check) {
  if (!schema.is_object()) return bad(name, "must be a JSON schema object.");
  SchemaWriter writer{name, findings, {}};
  BULKHEAD_CHECK_OK(writer.write(schema, 1, false));
  if (auto fault = check.check(schema)) {
    const bool short_enough = fault->place.size() <= kPlaceBytesMax;
    return bad(short_enough ? name + fault->place : name, fault->what);
  }
  std::string text = writer.out.take();
  if (text.size() > kSchemaBytesMax) {
    return bad(name, "is larger than " + std::to_string(kSchemaBytesMax >> 10) + " KiB.");
  }
  return text;
}

Result<std::string> read_function_name(ObjectReader& reader) {
  auto name = reader.text("name", kNameBytesMax, true);
  if (name && !is_function_name(*name)) {
    return bad(reader.name_of("name"), "must be 1 to 64 letters, digits, '_' and '-'.");
  }
  return name.value_or("");
}

Result<void> write_tool(const json::Value& tool, const std::string& path, std::set<std::string>& names,
                        json::Writer& out, guard::TextFindings& findings, guard::SchemaCheck& check) {
  if (!tool.is_object()) return bad(path, "must be an object.");
  ObjectReader reader(tool, path);
  auto type = reader.text("type", 32, true);
  if (type && *type != "function") {
    return api_error(ApiError::UnsupportedParameter, "'" + path + ".type': only function tools are served.",
                     path);
  }
  json::Value function = reader.value("function");
  BULKHEAD_CHECK_OK(reader.finish());
  std::string inner_path = path + ".function";
  if (!function.is_object()) return bad(inner_path, "must be an object.");
  ObjectReader inner(function, inner_path);
  BULKHEAD_TRY(name, read_function_name(inner));
  auto description = inner.text("description", kDescriptionBytesMax);
  json::Value parameters = inner.value("parameters");
  auto strict = inner.flag("strict");
  BULKHEAD_CHECK_OK(inner.finish());
  if (!names.insert(name).second) return bad(inner_path + ".name", "is the name of an earlier tool too.");
  out.begin_object().member("type", "function").key("function").begin_object().member("name", name);
  if (description) {
    BULKHEAD_TRY(cleaned, clean_text(*description, inner_path + ".description", findings));
    out.member("description", cleaned);
  }
  if (parameters.exists()) {
    BULKHEAD_TRY(schema, read_schema(parameters, inner_path + ".parameters", findings, check));
    out.key("parameters").raw(schema);
  }
  if (strict) out.member("strict", *strict);
  out.end_object().end_object();
  return Result<void>();
}

Result<std::string> read_choice(const json::Value& choice, const std::set<std::string>& names) {
  if (auto word = choice.as_string()) {
    if (*word != "none" && *word != "auto" && *word != "required") {
      return bad("tool_choice", "must be none, auto, required or a function of 'tools'.");
    }
    return json::quote(*word);
  }
  if (!choice.is_object()) return bad("tool_choice", "must be a string or an object.");
  ObjectReader reader(choice, "tool_choice");
  auto type = reader.text("type", 32, true);
  if (type && *type != "function") {
    return api_error(ApiError::UnsupportedParameter, "'tool_choice.type': only function is served.",
                     "tool_choice");
  }
  json::Value function = reader.value("function");
  BULKHEAD_CHECK_OK(reader.finish());
  ObjectReader inner(function, "tool_choice.function");
  BULKHEAD_TRY(name, read_function_name(inner));
  BULKHEAD_CHECK_OK(inner.finish());
  if (!names.contains(name)) return bad("tool_choice", "names a function that is not in 'tools'.");
  json::Writer w;
  w.begin_object()
      .member("type", "function")
      .key("function")
      .begin_object()
      .member("name", name)
      .end_object();
  w.end_object();
  return w.take();
}

Result<std::set<std::string>> read_tool_list(const json::Value& tools, engine::ChatRequest& request,
                                             guard::TextFindings& findings) {
  std::set<std::string> names;
  if (!tools.is_array() || tools.size() == 0 || tools.size() > kToolsMax) {
    return bad("tools", "must be a list of 1 to " + std::to_string(kToolsMax) + " tools.");
  }
  json::Writer out;
  guard::SchemaCheck check;
  out.begin_array();
  for (std::size_t i = 0; i < tools.size(); ++i) {
    BULKHEAD_CHECK_OK(
        write_tool(tools.at(i), "tools[" + std::to_string(i) + "]", names, out, findings, check));
  }
  out.end_array();
  request.tools = out.take();
  if (request.tools.size() > kToolsBytesMax) {
    return bad("tools", "are larger than " + std::to_string(kToolsBytesMax >> 10) + " KiB together.");
  }
  return names;
}

Result<void> read_format(const json::Value& format, engine::ChatRequest& request,
                         guard::TextFindings& findings) {
  if (!format.is_object()) return bad("response_format", "must be an object.");
  ObjectReader reader(format, "response_format");
  std::string type = reader.text("type", 32, true).value_or("");
  json::Value given = reader.value("json_schema");
  BULKHEAD_CHECK_OK(reader.finish());
  if (type != "json_schema" && given.exists()) {
    return bad("response_format", "has 'json_schema' beside another type.");
  }
  if (type == "text") return Result<void>();
  if (type == "json_object") {
    request.response_format.kind = engine::AnswerFormat::JsonObject;
    return Result<void>();
  }
  if (type != "json_schema")
    return bad("response_format", "must be of type text, json_object or json_schema.");
  if (!given.is_object()) return bad("response_format.json_schema", "must be an object.");
  ObjectReader inner(given, "response_format.json_schema");
  BULKHEAD_TRY(name, read_function_name(inner));
  auto description = inner.text("description", kDescriptionBytesMax);
  static_cast<void>(description);           // says what the schema is for; the grammar needs no words
  static_cast<void>(inner.flag("strict"));  // an answer is held to its schema always
  json::Value schema = inner.value("schema");
  BULKHEAD_CHECK_OK(inner.finish());
  guard::SchemaCheck check;
  BULKHEAD_TRY(text, read_schema(schema, "response_format.json_schema.schema", findings, check));
  request.response_format = {engine::AnswerFormat::JsonSchema, std::move(name), std::move(text)};
  return Result<void>();
}

}  // namespace

bool is_function_name(std::string_view name) {
  auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= kNameBytesMax && std::all_of(name.begin(), name.end(), fits);
}

std::size_t read_tools(ObjectReader& reader, engine::ChatRequest& request, guard::TextFindings& findings) {
  json::Value tools = reader.value("tools");
  json::Value choice = reader.value("tool_choice");
  request.parallel_tool_calls = reader.flag("parallel_tool_calls");
  if (!tools.exists()) {
    for (std::string_view name : {"tool_choice", "parallel_tool_calls"}) {
      bool given = name == "tool_choice" ? choice.exists() : request.parallel_tool_calls.has_value();
      if (given) reader.fail(bad(std::string(name), "goes with 'tools' only."));
    }
    return 0;
  }
  auto names = read_tool_list(tools, request, findings);
  if (!names) {
    reader.fail(names.take_error());
    return 0;
  }
  if (!choice.exists()) return names->size();
  if (auto read = read_choice(choice, *names)) {
    request.tool_choice = std::move(*read);
  } else {
    reader.fail(read.take_error());
  }
  return names->size();
}

void read_response_format(ObjectReader& reader, engine::ChatRequest& request, guard::TextFindings& findings) {
  json::Value format = reader.value("response_format");
  if (!format.exists()) return;
  if (auto read = read_format(format, request, findings); !read) reader.fail(read.take_error());
}

Result<std::vector<engine::ToolCall>> read_earlier_calls(const json::Value& list, const std::string& name,
                                                         guard::TextFindings& findings) {
  std::vector<engine::ToolCall> calls;
  if (!list.is_array() || list.size() == 0 || list.size() > kToolsMax) {
    return bad(name, "must be a list of 1 to " + std::to_string(kToolsMax) + " calls.");
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    std::string path = name + "[" + std::to_string(i) + "]";
    if (!list.at(i).is_object()) return bad(path, "must be an object.");
    ObjectReader reader(list.at(i), path);
    auto id = reader.text("id", kCallIdBytesMax, true);
    auto type = reader.text("type", 32, true);
    json::Value function = reader.value("function");
    static_cast<void>(reader.value("index"));  // what some SDKs send back of a streamed answer
    BULKHEAD_CHECK_OK(reader.finish());
    if (*type != "function") return bad(path + ".type", "must be function.");
    if (id->empty()) return bad(path + ".id", "must not be empty.");
    ObjectReader inner(function, path + ".function");
    BULKHEAD_TRY(function_name, read_function_name(inner));
    auto arguments = inner.text("arguments", kSchemaBytesMax, true);
    BULKHEAD_CHECK_OK(inner.finish());
    BULKHEAD_CHECK_OK(unchanged(*id, path + ".id"));
    BULKHEAD_TRY(cleaned, clean_text(*arguments, path + ".function.arguments", findings));
    calls.push_back({std::move(*id), std::move(function_name), std::move(cleaned)});
  }
  return calls;
}

}  // namespace bulkhead::gateway
