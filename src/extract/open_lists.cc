#include "extract/open_lists.h"

#include <algorithm>
#include <cstdlib>

#include "extract/docx_numbering.h"
#include "extract/xml_names.h"

namespace bulkhead::extract {

namespace {

int number_of(pugi::xml_node node, std::string_view name, int missing) {
  std::string value(value_of(node, name));
  return value.empty() ? missing : std::clamp(std::atoi(value.c_str()), 0, OpenLists::kCountMax);
}

// ODF's formats in the words of count_text(): "i" is lowerRoman.
std::string_view count_format(std::string_view format) {
  if (format == "a") return "lowerLetter";
  if (format == "A") return "upperLetter";
  if (format == "i") return "lowerRoman";
  if (format == "I") return "upperRoman";
  return "decimal";
}

}  // namespace

void OpenLists::add_styles(pugi::xml_node styles) {
  for (pugi::xml_node node : styles.children()) {
    if (local_name(node) != "list-style") continue;
    Style& style = styles_[std::string(value_of(node, "name"))];
    for (pugi::xml_node level : node.children()) {
      if (local_name(level) != "list-level-style-number") continue;
      auto at = static_cast<std::size_t>(number_of(level, "level", 0));
      if (at == 0 || at > kLevels) continue;
      Level& one = style[at - 1];
      one.format = value_of(level, "num-format");
      one.prefix = value_of(level, "num-prefix");
      one.suffix = value_of(level, "num-suffix");
      one.start = number_of(level, "start-value", 1);
      one.shown = number_of(level, "display-levels", 1);
    }
  }
}

void OpenLists::enter(pugi::xml_node list) {
  std::string style(value_of(list, "style-name"));
  if (depth_++ > 0) {
    if (open_.empty()) return;
    // A list inside another counts anew, in the outer one's style unless it names its own.
    if (!style.empty()) open_.back().style = style;
    if (depth_ <= kLevels) open_.back().counts[depth_ - 1].reset();
    return;
  }
  Open open{style, std::string(value_of(list, "id")), {}};
  std::string before(value_of(list, "continue-list"));
  if (!before.empty()) {
    open.counts = by_id_[before];
  } else if (value_of(list, "continue-numbering") == "true") {
    open.counts = by_style_[style];
  }
  open_.push_back(std::move(open));
}

void OpenLists::leave() {
  if (depth_ == 0 || --depth_ > 0 || open_.empty()) return;
  Open open = std::move(open_.back());
  open_.pop_back();
  by_style_[open.style] = open.counts;
  if (!open.id.empty()) by_id_[open.id] = open.counts;
}

std::string OpenLists::item(pugi::xml_node item) {
  if (open_.empty() || depth_ == 0 || depth_ > kLevels) return "";
  Open& open = open_.back();
  auto style = styles_.find(open.style);
  if (style == styles_.end()) return "";
  const std::size_t level = depth_ - 1;
  const Level& here = style->second[level];
  int next = open.counts[level] ? *open.counts[level] + 1 : here.start;
  int count = std::min(number_of(item, "start-value", next), kCountMax);
  open.counts[level] = count;
  for (std::size_t deeper = level + 1; deeper < kLevels; ++deeper) open.counts[deeper].reset();
  if (here.format.empty()) return "";
  std::size_t first =
      level + 1 - std::min<std::size_t>(level + 1, static_cast<std::size_t>(std::max(1, here.shown)));
  std::string label = here.prefix;
  for (std::size_t at = first; at <= level; ++at) {
    const Level& one = style->second[at];
    if (at != first && !label.empty()) label += '.';
    if (!one.format.empty())
      label += count_text(open.counts[at].value_or(one.start), count_format(one.format));
  }
  return label + here.suffix;
}

}  // namespace bulkhead::extract
