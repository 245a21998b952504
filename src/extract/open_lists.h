// The numbers that OpenDocument shows before the items of lists and stores nowhere (ODF 1.3 part 3, 16.30 and
// 19.880): counted along the document by list and level.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <pugixml.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::extract {

class OpenLists {
 public:
  // Reads the list styles of a `styles` or `automatic-styles` element.
  void add_styles(pugi::xml_node styles);

  // A `list` element, inside another one or not; leave() ends it.
  void enter(pugi::xml_node list);
  void leave();
  // Counts an item of the open list and gives what stands before its first words: "2.", "(a)", or "" for
  // bullets and lists without a known style.
  std::string item(pugi::xml_node item);

  static constexpr std::size_t kLevels = 10;
  static constexpr int kCountMax = 32'767;

 private:
  struct Level {
    std::string format, prefix, suffix;  // `format` is empty where no number is shown
    int start = 1, shown = 1;            // `shown`: how many levels the number names
  };
  using Style = std::array<Level, kLevels>;
  using Counts = std::array<std::optional<int>, kLevels>;
  struct Open {
    std::string style, id;
    Counts counts;
  };

  std::map<std::string, Style, std::less<>> styles_;
  std::map<std::string, Counts, std::less<>> by_style_,
      by_id_;               // of lists that are over, for those that go on
  std::vector<Open> open_;  // the outermost list that is open holds the counts
  std::size_t depth_ = 0;
};

}  // namespace bulkhead::extract
