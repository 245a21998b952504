// The numbers that Word shows before clauses and list items and stores nowhere (ECMA-376 part 1, 17.9):
// counted along the document from the numbering part's definitions.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <pugixml.hpp>
#include <string>
#include <string_view>

namespace bulkhead::extract {

class DocxNumbering {
 public:
  explicit DocxNumbering(pugi::xml_node root);

  // Counts one paragraph of a number definition at a level and gives what stands before it: "1.2", "(a)", or
  // "" for bullets and definitions that are missing.
  std::string next(const std::string& number, int level);
  // The level that a paragraph style is tied to in a definition; 0 without one.
  int level_of_style(const std::string& number, std::string_view style) const;

  static constexpr int kLevels = 9;
  static constexpr int kCountMax = 32'767;
  static constexpr std::size_t kLabelBytesMax = 120;

 private:
  struct Level {
    int start = 1;
    std::optional<int> restart_after;  // the level whose counting starts this one anew; 0: none does
    std::string format = "decimal", text, style;
    bool legal = false;  // all numbers in it are shown as decimals
  };
  struct Definition {
    std::array<Level, kLevels> levels;
    std::string style_link, number_style;  // numStyleLink, styleLink
  };
  struct Number {
    std::string definition;
    std::map<int, int> starts;
    std::map<int, Level> levels;
    bool used = false;
  };
  struct Counters {
    std::array<std::optional<int>, kLevels> counts;
  };

  static Level parse_level(pugi::xml_node node);
  const std::string* definition_of(const Number& number) const;
  const Level& level_in(const Number& number, const Definition& definition, int level) const;

  std::map<std::string, Definition, std::less<>> definitions_;
  std::map<std::string, Number, std::less<>> numbers_;
  std::map<std::string, Counters, std::less<>> counters_;  // by definition: its numbers share them
};

// A count in Word's format: "iv", "D", "04"; decimal for formats that are not known.
std::string count_text(int count, std::string_view format);

}  // namespace bulkhead::extract
