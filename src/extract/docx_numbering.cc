#include "extract/docx_numbering.h"

#include <algorithm>
#include <utility>

#include "extract/xml_names.h"

namespace bulkhead::extract {

namespace {

constexpr int kLettersMax = 780;  // Word's own: thirty times the same letter

std::string roman(int count) {
  constexpr std::array<std::pair<int, std::string_view>, 13> kRoman = {{{1000, "m"},
                                                                        {900, "cm"},
                                                                        {500, "d"},
                                                                        {400, "cd"},
                                                                        {100, "c"},
                                                                        {90, "xc"},
                                                                        {50, "l"},
                                                                        {40, "xl"},
                                                                        {10, "x"},
                                                                        {9, "ix"},
                                                                        {5, "v"},
                                                                        {4, "iv"},
                                                                        {1, "i"}}};
  std::string out;
  for (const auto& [value, letters] : kRoman) {
    for (; count >= value; count -= value) out += letters;
  }
  return out;
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c); });
  return text;
}

std::string ordinal(int count) {
  int tens = count % 100, ones = count % 10;
  const char* ending = tens >= 11 && tens <= 13 ? "th"
                       : ones == 1              ? "st"
                       : ones == 2              ? "nd"
                       : ones == 3              ? "rd"
                                                : "th";
  return std::to_string(count) + ending;
}

}  // namespace

std::string count_text(int count, std::string_view format) {
  std::string decimal = std::to_string(count);
  bool is_letter = format == "lowerLetter" || format == "upperLetter";
  if (is_letter && count >= 1 && count <= kLettersMax) {
    std::string letters(static_cast<std::size_t>((count - 1) / 26 + 1),
                        static_cast<char>('a' + (count - 1) % 26));
    return format == "lowerLetter" ? letters : upper(letters);
  }
  bool is_roman = format == "lowerRoman" || format == "upperRoman";
  if (is_roman && count >= 1 && count < 4'000)
    return format == "lowerRoman" ? roman(count) : upper(roman(count));
  if (format == "decimalZero") return count < 10 ? "0" + decimal : decimal;
  if (format == "ordinal") return ordinal(count);
  return format == "none" || format == "bullet" ? "" : decimal;
}

DocxNumbering::Level DocxNumbering::parse_level(pugi::xml_node node) {
  Level level;
  if (pugi::xml_node start = child_of(node, "start")) {
    level.start = std::clamp(attribute_of(start, "val").as_int(), 0, kCountMax);
  }
  if (pugi::xml_node restart = child_of(node, "lvlRestart")) {
    level.restart_after = attribute_of(restart, "val").as_int();
  }
  if (pugi::xml_node format = child_of(node, "numFmt")) level.format = value_of(format);
  level.text = value_of(child_of(node, "lvlText"));
  if (level.text.size() > kLabelBytesMax) level.text.clear();
  level.style = value_of(child_of(node, "pStyle"));
  level.legal = is_on(child_of(node, "isLgl"));
  return level;
}

DocxNumbering::DocxNumbering(pugi::xml_node root) {
  for (pugi::xml_node node : root.children()) {
    bool is_number = local_name(node) == "num";
    if (!is_number && local_name(node) != "abstractNum") continue;
    Definition definition;
    Number number;
    for (pugi::xml_node part : node.children()) {
      int at = attribute_of(part, "ilvl").as_int();
      if (at < 0 || at >= kLevels) continue;
      std::string_view name = local_name(part);
      if (name == "lvl") definition.levels[static_cast<std::size_t>(at)] = parse_level(part);
      if (name == "numStyleLink") definition.style_link = value_of(part);
      if (name == "styleLink") definition.number_style = value_of(part);
      if (name == "abstractNumId") number.definition = value_of(part);
      if (name != "lvlOverride") continue;
      if (pugi::xml_node start = child_of(part, "startOverride")) {
        number.starts[at] = std::clamp(attribute_of(start, "val").as_int(), 0, kCountMax);
      }
      if (pugi::xml_node level = child_of(part, "lvl")) number.levels[at] = parse_level(level);
    }
    if (is_number) {
      numbers_.emplace(value_of(node, "numId"), std::move(number));
    } else {
      definitions_.emplace(value_of(node, "abstractNumId"), std::move(definition));
    }
  }
}

// The definition that counts: a definition may send to the one that a numbering style names.
const std::string* DocxNumbering::definition_of(const Number& number) const {
  auto found = definitions_.find(number.definition);
  if (found == definitions_.end()) return nullptr;
  if (found->second.style_link.empty()) return &found->first;
  auto linked = std::find_if(definitions_.begin(), definitions_.end(), [&found](const auto& one) {
    return one.second.number_style == found->second.style_link;
  });
  return linked == definitions_.end() ? &found->first : &linked->first;
}

const DocxNumbering::Level& DocxNumbering::level_in(const Number& number, const Definition& definition,
                                                    int level) const {
  auto overridden = number.levels.find(level);
  return overridden != number.levels.end() ? overridden->second
                                           : definition.levels[static_cast<std::size_t>(level)];
}

int DocxNumbering::level_of_style(const std::string& number, std::string_view style) const {
  auto found = numbers_.find(number);
  const std::string* id = found == numbers_.end() ? nullptr : definition_of(found->second);
  if (!id) return 0;
  const Definition& definition = definitions_.find(*id)->second;
  for (int i = 0; i < kLevels; ++i) {
    if (level_in(found->second, definition, i).style == style) return i;
  }
  return 0;
}

std::string DocxNumbering::next(const std::string& number, int level) {
  auto found = numbers_.find(number);
  const std::string* id = found == numbers_.end() ? nullptr : definition_of(found->second);
  if (!id || level < 0 || level >= kLevels) return "";
  Number& own = found->second;
  const Definition& definition = definitions_.find(*id)->second;
  auto& counts = counters_[*id].counts;
  if (!own.used) {
    own.used = true;
    for (const auto& [at, start] : own.starts) counts[static_cast<std::size_t>(at)] = std::nullopt;
  }
  auto start_of = [&](int at) {
    auto start = own.starts.find(at);
    return start != own.starts.end() ? start->second : level_in(own, definition, at).start;
  };
  auto& count = counts[static_cast<std::size_t>(level)];
  count = count ? std::min(*count + 1, kCountMax) : start_of(level);
  for (int below = level + 1; below < kLevels; ++below) {
    // A level starts anew below each higher one, unless it names the only level that does so (from 1).
    auto after = level_in(own, definition, below).restart_after;
    if (!after || (*after > 0 && level < *after)) counts[static_cast<std::size_t>(below)] = std::nullopt;
  }
  const Level& shown = level_in(own, definition, level);
  if (shown.format == "bullet") return "";
  std::string label;
  for (std::size_t i = 0; i < shown.text.size() && label.size() < kLabelBytesMax; ++i) {
    char digit = i + 1 < shown.text.size() ? shown.text[i + 1] : '\0';
    if (shown.text[i] != '%' || digit < '1' || digit > '9') {
      label += shown.text[i];
      continue;
    }
    int at = digit - '1';
    auto& one = counts[static_cast<std::size_t>(at)];
    if (!one) one = start_of(at);
    label += count_text(*one, shown.legal ? "decimal" : level_in(own, definition, at).format);
    ++i;
  }
  return label;
}

}  // namespace bulkhead::extract
