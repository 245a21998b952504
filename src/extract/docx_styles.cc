#include "extract/docx_styles.h"

#include <algorithm>
#include <cstdlib>

#include "extract/xml_names.h"

namespace bulkhead::extract {

namespace {

std::optional<bool> toggle(pugi::xml_node run_properties, const char* name) {
  pugi::xml_node property = child_of(run_properties, name);
  return property ? std::optional<bool>(is_on(property)) : std::nullopt;
}

std::optional<int> level_of(pugi::xml_node property) {
  if (!property) return std::nullopt;
  return std::clamp(attribute_of(property, "val").as_int(), 0, 9);
}

}  // namespace

DocxStyles::DocxStyles(pugi::xml_node root) {
  pugi::xml_node defaults = child_of(child_of(child_of(root, "docDefaults"), "rPrDefault"), "rPr");
  default_vanish_ = toggle(defaults, "vanish").value_or(false);
  default_bold_ = toggle(defaults, "b").value_or(false);
  for (pugi::xml_node node : root.children()) {
    if (local_name(node) != "style") continue;
    std::string id(value_of(node, "styleId"));
    Style style;
    style.name = value_of(child_of(node, "name"));
    style.based_on = value_of(child_of(node, "basedOn"));
    pugi::xml_node paragraph = child_of(node, "pPr");
    style.outline_level = level_of(child_of(paragraph, "outlineLvl"));
    style.vanish = toggle(child_of(node, "rPr"), "vanish");
    style.bold = toggle(child_of(node, "rPr"), "b");
    if (pugi::xml_node numbering = child_of(paragraph, "numPr")) {
      style.numbering = {std::string(value_of(child_of(numbering, "numId"))),
                         level_of(child_of(numbering, "ilvl")), id};
    }
    for (pugi::xml_node part : node.children()) {
      if (local_name(part) != "tblStylePr") continue;
      bool apart =
          toggle(child_of(part, "rPr"), "b").value_or(false) || child_of(child_of(part, "tcPr"), "shd");
      if (value_of(part, "type") == "firstRow") style.first_row = apart;
      if (value_of(part, "type") == "firstCol") style.first_column = apart;
    }
    bool is_default = attribute_of(node, "default").as_bool() && value_of(node, "type") == "paragraph";
    if (is_default) default_paragraph_ = id;
    styles_.emplace(std::move(id), std::move(style));
  }
}

// The first answer along the chain of `basedOn`.
template <typename Answer>
auto DocxStyles::first_in_chain(std::string_view style, Answer answer) const
    -> decltype(answer(std::declval<Style>())) {
  auto at = styles_.find(style);
  for (int i = 0; i < kBasedOnMax && at != styles_.end(); ++i) {
    if (auto found = answer(at->second)) return found;
    at = styles_.find(at->second.based_on);
  }
  return {};
}

int DocxStyles::heading_level(std::string_view style) const {
  auto level = first_in_chain(style, [](const Style& one) -> std::optional<int> {
    std::string name = one.name;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
    if (name == "title") return 1;
    if (one.outline_level) return *one.outline_level > 8 ? 0 : *one.outline_level + 1;
    if (name.starts_with("heading ")) return std::clamp(std::atoi(name.c_str() + 8), 1, 9);
    return std::nullopt;
  });
  return level.value_or(0);
}

bool DocxStyles::is_list(std::string_view style) const {
  return style.starts_with("List") || first_in_chain(style, [](const Style& one) -> std::optional<bool> {
                                        return one.name.starts_with("List ") ? std::optional(true)
                                                                             : std::nullopt;
                                      }).value_or(false);
}

std::optional<DocxStyles::NumberingReference> DocxStyles::numbering(std::string_view style) const {
  return first_in_chain(style, [](const Style& one) { return one.numbering; });
}

bool DocxStyles::toggled(std::optional<bool> Style::* property, const char* name,
                         pugi::xml_node run_properties, std::string_view paragraph_style,
                         bool fallback) const {
  if (auto own = toggle(run_properties, name)) return *own;
  auto of_style = [this, property](std::string_view style) {
    return first_in_chain(style, [property](const Style& one) { return one.*property; }).value_or(false);
  };
  if (paragraph_style.empty()) paragraph_style = default_paragraph_;
  return (of_style(value_of(child_of(run_properties, "rStyle"))) != of_style(paragraph_style)) || fallback;
}

bool DocxStyles::is_hidden(pugi::xml_node run_properties, std::string_view paragraph_style) const {
  return toggled(&Style::vanish, "vanish", run_properties, paragraph_style, default_vanish_);
}

bool DocxStyles::is_bold(pugi::xml_node run_properties, std::string_view paragraph_style) const {
  return toggled(&Style::bold, "b", run_properties, paragraph_style, default_bold_);
}

bool DocxStyles::sets_apart(std::string_view table_style, std::string_view condition) const {
  return first_in_chain(table_style,
                        [condition](const Style& one) -> std::optional<bool> {
                          bool apart = condition == "firstRow" ? one.first_row : one.first_column;
                          return apart ? std::optional(true) : std::nullopt;
                        })
      .value_or(false);
}

}  // namespace bulkhead::extract
