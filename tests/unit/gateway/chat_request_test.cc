// What a chat request may ask of the engine: mistakes are named by their place in the body.
#include "gateway/chat_request.h"

#include <gtest/gtest.h>

namespace bulkhead::gateway {
namespace {

namespace json = base::json;

// The parameter that is refused, or "".
std::string refused(const std::string& more) {
  auto document = json::Document::parse(R"({"model":"default","messages":[{"role":"user","content":"hi"}],)" +
                                        more + "}");
  if (!document) return document.error().describe();
  auto body = parse_chat_body(document->root());
  return body ? "" : body.error().parameter();
}

std::string format(const std::string& schema) {
  return R"("response_format":{"type":"json_schema","json_schema":{"name":"o","schema":)" + schema + "}}";
}

std::string tools(std::initializer_list<std::string> schemas) {
  std::string list;
  for (const std::string& schema : schemas) {
    const std::string name = "f" + std::to_string(list.size());
    list += (list.empty() ? "" : ",") + std::string(R"({"type":"function","function":{"name":")") + name +
            R"(","parameters":)" + schema + "}}";
  }
  return "\"tools\":[" + list + "]";
}

TEST(ChatRequest, ASchemaIsRefusedByThePlaceInIt) {
  EXPECT_EQ(
      refused(format(R"({"type":"object","properties":{"a":{"type":"array","minItems":2,"maxItems":9}}})")),
      "");
  EXPECT_EQ(
      refused(format(R"({"type":"object","properties":{"a":{"type":"array","minItems":9,"maxItems":2}}})")),
      "response_format.json_schema.schema.properties.a.minItems");
  EXPECT_EQ(refused(format(R"({"anyOf":[{},{"type":"string","pattern":"^a{9,2}$"}]})")),
            "response_format.json_schema.schema.anyOf[1].pattern");
  EXPECT_EQ(refused(tools({R"({"type":"object"})", R"({"properties":{"n":{"minimum":2,"maximum":1}}})"})),
            "tools[1].function.parameters.properties.n.minimum");
}

TEST(ChatRequest, AllToolsShareOneBudget) {
  std::string members;
  for (int i = 0; i < 90; ++i) members += (i ? ",\"p" : "\"p") + std::to_string(i) + "\":{}";
  const std::string wide = R"({"type":"object","properties":{)" + members + "}}";
  EXPECT_EQ(refused(tools({wide, wide})), "");
  EXPECT_EQ(refused(tools({wide, wide, wide, wide, wide, wide, wide, wide, wide, wide, wide})),
            "tools[10].function.parameters.properties");
}

TEST(ChatRequest, CallsOfEarlierMessagesAreBoundedInAll) {
  auto earlier = [](int messages, int each) {
    std::string calls, list = R"({"role":"user","content":"hi"})";
    for (int i = 0; i < each; ++i) {
      calls += (i ? "," : "") + std::string(R"({"id":"c)") + std::to_string(i) +
               R"(","type":"function","function":{"name":"f","arguments":"{}"}})";
    }
    for (int i = 0; i < messages; ++i) list += R"(,{"role":"assistant","tool_calls":[)" + calls + "]}";
    auto document = json::Document::parse(R"({"model":"default","messages":[)" + list + "]}");
    auto body = parse_chat_body(document->root());
    return body ? std::string() : body.error().parameter();
  };
  EXPECT_EQ(earlier(8, 128), "");
  EXPECT_EQ(earlier(9, 128), "messages[9].tool_calls");
}

}  // namespace
}  // namespace bulkhead::gateway
