#include "guard/answer_schema.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "guard/answer_pattern.h"

namespace bulkhead::guard {

namespace json = base::json;

// Where in the schema a value stands. Lives on the stack of the recursion and is written out for a fault
// only.
struct SchemaCheck::Place {
  const Place* above = nullptr;
  std::string_view key;        // of a member
  std::size_t index = 0;       // of a list's element, when there is no key
  std::size_t name_bytes = 0;  // of the rule's name so far

  std::string text() const {
    if (!above) return "";
    return above->text() + (key.empty() ? "[" + std::to_string(index) + "]" : "." + std::string(key));
  }
  Place member(std::string_view name, bool names_a_rule = false) const {
    return {this, name, 0, name_bytes + (names_a_rule ? name.size() + 1 : 1)};
  }
  Place element(std::size_t at) const { return {this, "", at, name_bytes + 4}; }
  SchemaFault fault(std::string what) const { return {text(), std::move(what)}; }
};

namespace {

constexpr std::int64_t kIntegerMax = std::int64_t{1} << 53;  // what JSON numbers hold exactly

std::string at_most(std::size_t count, std::string_view what) {
  return "has more than " + std::to_string(count) + " " + std::string(what) + ".";
}

struct CountPair {
  std::string_view least, greatest;
};
constexpr CountPair kCounts[] = {{"minItems", "maxItems"}, {"minLength", "maxLength"}};

// The converter reads each as a C++ int and unrolls it.
std::optional<std::pair<std::string_view, std::string>> count_fault(const json::Value& schema) {
  for (const CountPair& pair : kCounts) {
    for (std::string_view key : {pair.least, pair.greatest}) {
      json::Value value = schema[key];
      if (!value.exists()) continue;
      auto count = value.as_int();
      if (!count || *count < 0 || *count > kRepetitionMax) {
        return std::pair(key, "must be a whole number from 0 to " + std::to_string(kRepetitionMax) + ".");
      }
    }
    auto least = schema[pair.least].as_int(), greatest = schema[pair.greatest].as_int();
    if (least && greatest && *least > *greatest) {
      return std::pair(pair.least, "is above '" + std::string(pair.greatest) + "'.");
    }
  }
  return std::nullopt;
}

std::optional<std::pair<std::string_view, std::string>> range_fault(const json::Value& schema) {
  constexpr std::string_view kLow[] = {"minimum", "exclusiveMinimum"};
  constexpr std::string_view kHigh[] = {"maximum", "exclusiveMaximum"};
  auto number = [&schema](std::string_view key) { return schema[key].as_double(); };
  for (const auto& side : {kLow, kHigh}) {
    for (std::size_t i = 0; i < 2; ++i) {
      // Booleans: the older drafts' exclusiveMinimum.
      if (!schema[side[i]].exists() || schema[side[i]].as_bool()) continue;
      auto value = number(side[i]);
      if (!value || !(std::abs(*value) <= static_cast<double>(kIntegerMax))) {
        return std::pair(side[i], "must be a number of at most 2^53 in size.");
      }
    }
  }
  for (std::string_view low : kLow) {
    for (std::string_view high : kHigh) {
      auto least = number(low), greatest = number(high);
      if (!least || !greatest) continue;
      const bool exclusive = low == kLow[1] || high == kHigh[1];
      if (*least > *greatest || (exclusive && *least == *greatest)) {
        return std::pair(low, "leaves no number below '" + std::string(high) + "'.");
      }
    }
  }
  return std::nullopt;
}

// How often `type` names this type: not at all, or once where no type or a list stands too.
bool has_type(const json::Value& schema, std::string_view name) {
  json::Value type = schema["type"];
  if (auto one = type.as_string()) return *one == name;
  for (std::size_t i = 0; i < type.size(); ++i) {
    if (type.at(i).as_string() == name) return true;
  }
  return !type.exists();
}

}  // namespace

std::optional<SchemaFault> SchemaCheck::check(const json::Value& schema) {
  root_ = schema;
  references_.clear();
  return visit(schema, Place(), 1);
}

SchemaCheck::Fault SchemaCheck::visit(const json::Value& schema, const Place& place, std::size_t depth) {
  if (depth > bounds_.depth) {
    return place.fault("is nested more than " + std::to_string(bounds_.depth) +
                       " levels deep, references included.");
  }
  if (++nodes_ > bounds_.nodes) {
    return place.fault("is too much: the request's schemas have more than " + std::to_string(bounds_.nodes) +
                       " parts, laid out.");
  }
  rule_name_bytes_ += place.name_bytes;
  if (rule_name_bytes_ > bounds_.rule_name_bytes) {
    return place.fault("is too much: the names on the way to the schemas' parts are too long together.");
  }
  if (!schema.is_object()) return place.fault("must be a schema object.");
  if (schema["$ref"].exists()) return visit_reference(schema, place, depth, false);
  for (std::string_view key : {"oneOf", "anyOf"}) {
    if (schema[key].exists()) return visit_list(schema[key], place.member(key), depth);
  }
  return visit_typed(schema, place, depth);
}

// The converter visits a reference's target once; inside allOf (`laid_out`) each time.
SchemaCheck::Fault SchemaCheck::visit_reference(const json::Value& schema, const Place& place,
                                                std::size_t depth, bool laid_out) {
  const Place here = place.member("$ref");
  auto text = schema["$ref"].as_string();
  if (!text || !text->starts_with("#/")) {
    return here.fault("must point inside the schema (\"#/...\").");
  }
  if (text->size() > bounds_.name_bytes) {
    return here.fault("is longer than " + std::to_string(bounds_.name_bytes) + " bytes.");
  }
  const bool fresh = references_.insert(std::string(*text)).second;
  if (references_.size() > bounds_.references) {
    return here.fault("is one target too many: " + std::to_string(bounds_.references) + " are served.");
  }
  if (!fresh && !laid_out) return std::nullopt;
  json::Value target = root_;
  std::string_view path = text->substr(2);
  while (true) {
    const std::size_t slash = path.find('/');
    std::string_view name = path.substr(0, slash);
    std::size_t index = 0;
    auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), index);
    const bool number = failed == std::errc() && end == name.data() + name.size();
    target = target.is_array() ? (number ? target.at(index) : json::Value()) : target[name];
    if (slash == std::string_view::npos) break;
    path = path.substr(slash + 1);
  }
  if (!target.exists()) return here.fault("points at nothing in the schema.");
  Place inside = here;
  inside.name_bytes = text->size() + (laid_out ? place.name_bytes : 0);
  return laid_out ? visit_component(target, inside, depth + 1) : visit(target, inside, depth + 1);
}

SchemaCheck::Fault SchemaCheck::visit_list(const json::Value& list, const Place& place, std::size_t depth) {
  if (!list.is_array() || list.size() == 0) return place.fault("must be a list of schemas.");
  if (list.size() > bounds_.alternatives) return place.fault(at_most(bounds_.alternatives, "schemas"));
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (auto fault = visit(list.at(i), place.element(i), depth + 1)) return fault;
  }
  return std::nullopt;
}

// A part of an allOf: an object's properties become the whole's, references are laid out where they stand.
SchemaCheck::Fault SchemaCheck::visit_component(const json::Value& schema, const Place& place,
                                                std::size_t depth) {
  if (depth > bounds_.depth) {
    return place.fault("is nested more than " + std::to_string(bounds_.depth) +
                       " levels deep, references included.");
  }
  if (schema["$ref"].exists()) return visit_reference(schema, place, depth, true);
  if (schema["anyOf"].exists()) {
    const Place inside = place.member("anyOf");
    json::Value list = schema["anyOf"];
    if (list.size() > bounds_.alternatives) return inside.fault(at_most(bounds_.alternatives, "schemas"));
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (auto fault = visit_component(list.at(i), inside.element(i), depth + 1)) return fault;
    }
    return std::nullopt;
  }
  return visit(schema, place, depth);
}

SchemaCheck::Fault SchemaCheck::visit_typed(const json::Value& schema, const Place& place,
                                            std::size_t depth) {
  json::Value type = schema["type"];
  if (type.is_array()) {
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < type.size(); ++i) {
      auto name = type.at(i).as_string();
      if (!name || !names.insert(*name).second) {
        return place.member("type").fault("must be a type or a list of different types.");
      }
    }
  }
  // A list of types is a copy of the schema for each: what all of them have counts that often.
  const std::size_t copies = type.is_array() ? std::max<std::size_t>(type.size(), 1) : 1;
  if (auto fault = count_fault(schema)) return place.member(fault->first).fault(std::move(fault->second));
  if (auto fault = range_fault(schema)) return place.member(fault->first).fault(std::move(fault->second));
  for (std::size_t copy = 0; copy < copies; ++copy) {
    if (auto fault = check_enum(schema["enum"], place.member("enum"))) return fault;
  }
  if (json::Value pattern = schema["pattern"]; pattern.exists()) {
    const Place here = place.member("pattern");
    auto text = pattern.as_string();
    if (!text) return here.fault("must be a string.");
    ReadPattern read = read_answer_pattern(*text);
    if (!read.fault.empty()) return here.fault(std::move(read.fault));
  }
  if (json::Value all = schema["allOf"]; all.exists()) {
    const Place here = place.member("allOf");
    if (!all.is_array() || all.size() == 0) return here.fault("must be a list of schemas.");
    if (all.size() > bounds_.alternatives) return here.fault(at_most(bounds_.alternatives, "schemas"));
    // An object and a string each lay it out.
    const std::size_t times = type.is_array() ? 2 : 1;
    for (std::size_t time = 0; time < times; ++time) {
      for (std::size_t i = 0; i < all.size(); ++i) {
        if (auto fault = visit_component(all.at(i), here.element(i), depth + 1)) return fault;
      }
    }
  }
  if (has_type(schema, "object")) {
    if (auto fault = visit_object(schema, place, depth)) return fault;
  }
  return has_type(schema, "array") ? visit_array(schema, place, depth) : std::nullopt;
}

SchemaCheck::Fault SchemaCheck::check_enum(const json::Value& values, const Place& place) {
  if (!values.exists()) return std::nullopt;
  if (!values.is_array() || values.size() == 0) return place.fault("must be a list of values.");
  enum_values_ += values.size();
  if (enum_values_ <= bounds_.enum_values) return std::nullopt;
  return place.fault("is too much: the request's schemas list more than " +
                     std::to_string(bounds_.enum_values) + " values.");
}

SchemaCheck::Fault SchemaCheck::visit_object(const json::Value& schema, const Place& place,
                                             std::size_t depth) {
  json::Value properties = schema["properties"];
  const Place inside = place.member("properties");
  if (properties.exists() && !properties.is_object()) return inside.fault("must be an object.");
  if (properties.size() > bounds_.properties) return inside.fault(at_most(bounds_.properties, "members"));
  std::set<std::string_view> required;
  json::Value names = schema["required"];
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (auto name = names.at(i).as_string()) required.insert(*name);
  }
  std::size_t optional = 0;
  for (std::size_t i = 0; i < properties.size(); ++i) {
    std::string_view name = properties.key_at(i);
    if (name.size() > bounds_.name_bytes) {
      return inside.fault("has a name of more than " + std::to_string(bounds_.name_bytes) + " bytes.");
    }
    if (!required.contains(name)) ++optional;
    if (auto fault = visit(properties.at(i), inside.member(name, true), depth + 1)) return fault;
  }
  json::Value additional = schema["additionalProperties"];
  if (additional.exists() && !additional.as_bool()) {
    if (auto fault = visit(additional, place.member("additionalProperties", true), depth + 1)) return fault;
  }
  if (optional > bounds_.optional_properties) {
    return inside.fault("has more than " + std::to_string(bounds_.optional_properties) +
                        " members that are not in 'required'. List more of them there, or split the object.");
  }
  optional_work_ += optional * optional * optional;
  if (optional_work_ <= bounds_.optional_work) return std::nullopt;
  return inside.fault("is too much: too many members of the request's schemas are not in 'required'.");
}

SchemaCheck::Fault SchemaCheck::visit_array(const json::Value& schema, const Place& place,
                                            std::size_t depth) {
  for (std::string_view key : {"items", "prefixItems"}) {
    json::Value items = schema[key];
    if (!items.exists()) continue;
    const Place inside = place.member(key);
    return items.is_array() ? visit_list(items, inside, depth) : visit(items, inside, depth + 1);
  }
  return std::nullopt;
}

}  // namespace bulkhead::guard
