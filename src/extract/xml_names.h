// Elements and attributes by local name: producers choose prefixes freely, and the strict form of Office Open
// XML (ISO/IEC 29500-1) has other namespaces than the transitional one for the same elements.
#pragma once

#include <pugixml.hpp>
#include <string_view>

namespace bulkhead::extract {

inline std::string_view local_name(const char* name) {
  std::string_view text = name;
  std::size_t colon = text.find(':');
  return colon == std::string_view::npos ? text : text.substr(colon + 1);
}

inline std::string_view local_name(pugi::xml_node node) { return local_name(node.name()); }

inline pugi::xml_node child_of(pugi::xml_node node, std::string_view name) {
  return node.find_child([name](pugi::xml_node child) { return local_name(child) == name; });
}

inline pugi::xml_attribute attribute_of(pugi::xml_node node, std::string_view name) {
  return node.find_attribute([name](pugi::xml_attribute one) { return local_name(one.name()) == name; });
}

inline std::string_view value_of(pugi::xml_node node, std::string_view name = "val") {
  return attribute_of(node, name).value();
}

// A property that is on when it is there, unless it says otherwise (ST_OnOff).
inline bool is_on(pugi::xml_node property) {
  std::string_view value = value_of(property);
  return property && value != "0" && value != "false" && value != "off";
}

}  // namespace bulkhead::extract
