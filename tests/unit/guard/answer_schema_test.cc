#include "guard/answer_schema.h"

#include <gtest/gtest.h>

namespace bulkhead::guard {
namespace {

namespace json = base::json;

// "PLACE WHAT" of the fault, or "".
std::string fault_of(std::string_view schema, const SchemaBounds& bounds = {}) {
  auto document = json::Document::parse(schema);
  if (!document) return document.error().describe();
  SchemaCheck check(bounds);
  auto fault = check.check(document->root());
  return fault ? fault->place + " " + fault->what : "";
}

std::string place_of(std::string_view schema, const SchemaBounds& bounds = {}) {
  std::string fault = fault_of(schema, bounds);
  return fault.substr(0, fault.find(' '));
}

SchemaBounds unbounded() {
  SchemaBounds bounds;
  bounds.nodes = bounds.depth = bounds.references = bounds.alternatives = 100'000;
  bounds.optional_properties = bounds.optional_work = bounds.rule_name_bytes = bounds.name_bytes = SIZE_MAX;
  bounds.enum_values = bounds.properties = 100'000;
  return bounds;
}

std::string object_of(std::size_t count, bool required) {
  std::string members, names;
  for (std::size_t i = 0; i < count; ++i) {
    members += (i ? ",\"p" : "\"p") + std::to_string(i) + "\":{}";
    names += (i ? ",\"p" : "\"p") + std::to_string(i) + "\"";
  }
  return R"({"type":"object","properties":{)" + members + "}" +
         (required ? ",\"required\":[" + names + "]" : "") + "}";
}

TEST(AnswerSchema, OrdinarySchemasPass) {
  EXPECT_EQ(fault_of(R"({"type":"object","properties":{"name":{"type":"string","minLength":1,"maxLength":80},
      "age":{"type":"integer","minimum":0,"maximum":150},"tags":{"type":"array","items":{"type":"string"},
      "minItems":1,"maxItems":5},"kind":{"enum":["a","b"]},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]},
      "id":{"type":["string","null"],"pattern":"^[a-z]+$"}},"required":["name"],"additionalProperties":false,
      "$defs":{"node":{"type":"object","properties":{"next":{"$ref":"#/$defs/node"}}}}})"),
            "");
  EXPECT_EQ(fault_of(R"({"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991})"), "");
  // What stands for itself is not read as a schema.
  EXPECT_EQ(fault_of(R"({"const":{"minItems":9,"maxItems":1}})"), "");
  EXPECT_EQ(fault_of(object_of(400, true)), "");
}

TEST(AnswerSchema, ContradictoryBoundsAreNamed) {
  EXPECT_EQ(place_of(R"({"type":"object","properties":{"a":{"type":"array","minItems":900,"maxItems":3}}})"),
            ".properties.a.minItems");
  EXPECT_EQ(place_of(R"({"type":"string","minLength":2,"maxLength":1})"), ".minLength");
  EXPECT_EQ(place_of(R"({"type":"string","maxLength":1001})"), ".maxLength");
  EXPECT_EQ(place_of(R"({"type":"array","minItems":100000000})"), ".minItems");
  EXPECT_EQ(place_of(R"({"type":"array","minItems":-1})"), ".minItems");
  EXPECT_EQ(place_of(R"({"type":"array","minItems":1.5})"), ".minItems");
  EXPECT_EQ(place_of(R"({"anyOf":[{},{"type":"integer","minimum":5,"maximum":4}]})"), ".anyOf[1].minimum");
  EXPECT_EQ(place_of(R"({"type":"integer","exclusiveMinimum":4,"maximum":4})"), ".exclusiveMinimum");
  EXPECT_EQ(place_of(R"({"type":"integer","minimum":1e300})"), ".minimum");
  EXPECT_EQ(place_of(R"({"items":[{},{"pattern":"^a{9,2}$"}]})"), ".items[1].pattern");
}

TEST(AnswerSchema, ReferencesStayInsideAndEnd) {
  EXPECT_EQ(place_of(R"({"$ref":"https://example.invalid/x"})"), ".$ref");
  EXPECT_EQ(place_of(R"({"$ref":"#"})"), ".$ref");
  EXPECT_EQ(place_of(R"({"$ref":"#/$defs/none"})"), ".$ref");
  // A part of allOf is laid out where it stands: what leads back to itself would never end.
  const char* kLoop =
      R"({"$ref":"#/$defs/a","$defs":{"a":{"properties":{"x":{"allOf":[{"$ref":"#/$defs/a"}]}}}}})";
  EXPECT_NE(fault_of(kLoop).find("nested more than"), std::string::npos);
  EXPECT_NE(fault_of(R"({"allOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"$ref":"#/$defs/a"}}})"), "");
  // The same through a plain reference is a rule that names itself.
  EXPECT_EQ(fault_of(R"({"$ref":"#/$defs/a","$defs":{"a":{"properties":{"x":{"$ref":"#/$defs/a"}}}}})"), "");
}

// Each schema is small; what it would become is not. The control is the same schema with the bound taken
// away.
TEST(AnswerSchema, WhatGrowsIsBounded) {
  std::string defs;
  for (int i = 0; i < 14; ++i) {
    std::string next = i == 13 ? "{}" : R"({"$ref":"#/$defs/d)" + std::to_string(i + 1) + "\"}";
    defs += (i ? ",\"d" : "\"d") + std::to_string(i) + R"(":{"properties":{"x":{"allOf":[)" + next + "," +
            next + "]}}}";
  }
  const std::string exponential = R"({"allOf":[{"$ref":"#/$defs/d0"}],"$defs":{)" + defs + "}}";
  EXPECT_LT(exponential.size(), 2'000u);
  EXPECT_NE(fault_of(exponential).find("is too much"), std::string::npos) << fault_of(exponential);
  EXPECT_EQ(fault_of(exponential, unbounded()), "");
  EXPECT_NE(fault_of(object_of(200, false)).find("'required'"), std::string::npos);
  EXPECT_EQ(fault_of(object_of(200, false), unbounded()), "");
  std::string values;
  for (int i = 0; i < 1'100; ++i) values += (i ? "," : "") + std::to_string(i);
  EXPECT_EQ(place_of("{\"enum\":[" + values + "]}"), ".enum");
  EXPECT_EQ(fault_of("{\"enum\":[" + values + "]}", unbounded()), "");
  std::string many;
  for (int i = 0; i < 200; ++i) many += i ? ",{}" : "{}";
  EXPECT_EQ(place_of("{\"anyOf\":[" + many + "]}"), ".anyOf");
  const std::string long_name = R"({"properties":{")" + std::string(300, 'a') + R"(":{}}})";
  EXPECT_EQ(place_of(long_name), ".properties");
  EXPECT_EQ(fault_of(long_name, unbounded()), "");
}

TEST(AnswerSchema, AllSchemasOfARequestShareTheBounds) {
  SchemaBounds bounds;
  bounds.nodes = 100;
  SchemaCheck check(bounds);
  auto document = json::Document::parse(object_of(60, true));
  ASSERT_TRUE(document);
  EXPECT_FALSE(check.check(document->root()));
  EXPECT_TRUE(check.check(document->root()));
}

}  // namespace
}  // namespace bulkhead::guard
