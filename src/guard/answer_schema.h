// JSON schemas that an answer or a tool call may be held to: what the conversion of one into a grammar would
// cost, found out from the schema before any library sees it.
//
// The check goes the way that llama.cpp's converter goes: it follows `$ref`, counts a subschema once for each
// time the converter would visit it (`allOf` lays its references out anew each time; a list of types is a
// copy for each type), and stops at a bound instead of at the end of the memory. Contradictory bounds
// (minItems above maxItems) are refused here too: a grammar made of them is not empty but endless.
// Keywords that the converter doesn't know are left alone, as are the contents of const, enum and default.
// Thread safety: a SchemaCheck belongs to one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/json.h"

namespace bulkhead::guard {

// Over all schemas of one request, as the converter would visit them.
struct SchemaBounds {
  std::size_t nodes = 8'192;              // subschemas
  std::size_t depth = 64;                 // from the root, through references
  std::size_t references = 64;            // distinct targets of one schema
  std::size_t alternatives = 128;         // of one anyOf, oneOf, allOf
  std::size_t enum_values = 1'000;        // of all enums
  std::size_t properties = 500;           // of one object
  std::size_t optional_properties = 100;  // of one object: the grammar grows by their square
  std::size_t optional_work = 8'000'000;  // sum of their cubes over all objects: the conversion's time
  std::size_t name_bytes = 256;           // of one property's name or one reference
  std::size_t rule_name_bytes = 1 << 20;  // names of rules, which are paths
};

struct SchemaFault {
  std::string place;  // "", ".properties.age.minimum", ".anyOf[2]": what to put behind the schema's own name
  std::string what;   // the end of a sentence that begins with the place: "is above 'maxItems'."
};

class SchemaCheck {
 public:
  SchemaCheck() = default;
  explicit SchemaCheck(const SchemaBounds& bounds) : bounds_(bounds) {}
  // Of one of the request's schemas; all of them share the bounds. Nothing when it may be converted.
  std::optional<SchemaFault> check(const base::json::Value& schema);

 private:
  struct Place;
  using Fault = std::optional<SchemaFault>;
  Fault visit(const base::json::Value& schema, const Place& place, std::size_t depth);
  Fault visit_typed(const base::json::Value& schema, const Place& place, std::size_t depth);
  Fault visit_object(const base::json::Value& schema, const Place& place, std::size_t depth);
  Fault visit_array(const base::json::Value& schema, const Place& place, std::size_t depth);
  Fault visit_list(const base::json::Value& list, const Place& place, std::size_t depth);
  Fault visit_component(const base::json::Value& schema, const Place& place, std::size_t depth);
  Fault visit_reference(const base::json::Value& schema, const Place& place, std::size_t depth,
                        bool laid_out);
  Fault check_enum(const base::json::Value& values, const Place& place);

  SchemaBounds bounds_;
  base::json::Value root_;
  std::set<std::string, std::less<>> references_;
  std::size_t nodes_ = 0, enum_values_ = 0, optional_work_ = 0, rule_name_bytes_ = 0;
};

}  // namespace bulkhead::guard
