// What styles say of a paragraph, a run or a table (ECMA-376 part 1, 17.7), along `basedOn`.
#pragma once

#include <map>
#include <optional>
#include <pugixml.hpp>
#include <string>
#include <string_view>

namespace bulkhead::extract {

class DocxStyles {
 public:
  // Styles of a styles part's root; an empty node gives none.
  explicit DocxStyles(pugi::xml_node root);

  // 1 and up; 0 for a style of no heading.
  int heading_level(std::string_view style) const;
  bool is_list(std::string_view style) const;
  struct NumberingReference {
    std::string number;  // numId
    std::optional<int> level;
    std::string style;  // that says so
  };
  std::optional<NumberingReference> numbering(std::string_view style) const;

  // Whether text is hidden, or bold: a run's own properties first, else its character style against its
  // paragraph's style (toggle properties, 17.7.3).
  bool is_hidden(pugi::xml_node run_properties, std::string_view paragraph_style) const;
  bool is_bold(pugi::xml_node run_properties, std::string_view paragraph_style) const;

  // The table style sets the first row, or column, apart: by weight or by shading.
  bool sets_apart(std::string_view table_style, std::string_view condition) const;

  // Longest chain of `basedOn` that is followed; a cycle ends there.
  static constexpr int kBasedOnMax = 64;

 private:
  struct Style {
    std::string name, based_on;
    std::optional<int> outline_level;
    std::optional<bool> vanish, bold;
    std::optional<NumberingReference> numbering;
    bool first_row = false, first_column = false;
  };
  template <typename Answer>
  auto first_in_chain(std::string_view style, Answer answer) const -> decltype(answer(std::declval<Style>()));
  bool toggled(std::optional<bool> Style::* property, const char* name, pugi::xml_node run_properties,
               std::string_view paragraph_style, bool fallback) const;

  std::map<std::string, Style, std::less<>> styles_;
  std::string default_paragraph_;
  bool default_vanish_ = false, default_bold_ = false;
};

}  // namespace bulkhead::extract
