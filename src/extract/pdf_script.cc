#include "extract/pdf_script.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "extract/document.h"

namespace bulkhead::extract {

namespace {

constexpr std::string_view kSoftHyphen = "\u00AD";
constexpr std::string_view kHyphen = "\u2010";

std::vector<std::int32_t> decoded(std::string_view text) {
  std::vector<std::int32_t> out;
  while (!text.empty()) {
    utf8proc_int32_t c = 0;
    utf8proc_ssize_t used = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                             static_cast<utf8proc_ssize_t>(text.size()), &c);
    out.push_back(used > 0 ? c : 0xFFFD);
    text.remove_prefix(used > 0 ? static_cast<std::size_t>(used) : 1);
  }
  return out;
}

std::int32_t first_of(std::string_view text) {
  std::vector<std::int32_t> all = decoded(text.substr(0, 4));
  return all.empty() ? 0 : all.front();
}

std::int32_t last_of(std::string_view text) {
  std::size_t start = text.size();
  while (start > 0 && text.size() - start < 4) {
    --start;
    if ((static_cast<unsigned char>(text[start]) & 0xC0) != 0x80) break;
  }
  std::vector<std::int32_t> all = decoded(text.substr(start));
  return all.empty() ? 0 : all.back();
}

int bidi_class(std::int32_t c) { return utf8proc_get_property(c)->bidi_class; }
bool is_right_to_left(std::int32_t c) {
  return bidi_class(c) == UTF8PROC_BIDI_CLASS_R || bidi_class(c) == UTF8PROC_BIDI_CLASS_AL;
}
bool is_digit(std::int32_t c) {
  return bidi_class(c) == UTF8PROC_BIDI_CLASS_EN || bidi_class(c) == UTF8PROC_BIDI_CLASS_AN;
}
bool is_in_number(std::int32_t c) {
  return bidi_class(c) == UTF8PROC_BIDI_CLASS_CS || bidi_class(c) == UTF8PROC_BIDI_CLASS_ES;
}
bool is_by_number(std::int32_t c) { return bidi_class(c) == UTF8PROC_BIDI_CLASS_ET; }
bool is_mark(std::int32_t c) { return bidi_class(c) == UTF8PROC_BIDI_CLASS_NSM; }

enum class Direction { None, Left, Right, Number };

std::vector<Direction> directions_of(const std::vector<std::int32_t>& text) {
  std::vector<Direction> out(text.size(), Direction::None);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_right_to_left(text[i])) {
      out[i] = Direction::Right;
    } else if (is_digit(text[i])) {
      out[i] = Direction::Number;
    } else if (bidi_class(text[i]) == UTF8PROC_BIDI_CLASS_L) {
      out[i] = Direction::Left;
    }
  }
  // "1,234.5" and "-5 %" stay whole.
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    bool inside = out[i - 1] == Direction::Number && out[i + 1] == Direction::Number;
    if (is_in_number(text[i]) && inside) out[i] = Direction::Number;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    bool before = i + 1 < text.size() && out[i + 1] == Direction::Number;
    bool after = i > 0 && out[i - 1] == Direction::Number;
    bool sign = bidi_class(text[i]) == UTF8PROC_BIDI_CLASS_ES && before && !after;
    if ((is_by_number(text[i]) && (before || after)) || sign) out[i] = Direction::Number;
  }
  return out;
}

// 1 for what is read from right to left, 2 for what runs from left to right inside it.
std::vector<int> levels_of(const std::vector<std::int32_t>& text) {
  std::vector<Direction> directions = directions_of(text);
  auto count = [&](Direction d) { return std::count(directions.begin(), directions.end(), d); };
  bool base_right = count(Direction::Right) >= count(Direction::Left);
  std::vector<int> levels(text.size(), base_right ? 1 : 0);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (directions[i] == Direction::Right) levels[i] = 1;
    if (directions[i] == Direction::Left || directions[i] == Direction::Number)
      levels[i] = base_right ? 2 : 0;
  }
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && directions[end] == Direction::None) ++end;
    // What stands between two parts of one direction goes with them.
    if (end > i && i > 0 && end < text.size() && levels[i - 1] == levels[end]) {
      std::fill(levels.begin() + static_cast<std::ptrdiff_t>(i),
                levels.begin() + static_cast<std::ptrdiff_t>(end), levels[end]);
    }
    i = std::max(end, i + 1);
  }
  return levels;
}

std::int32_t mirrored(std::int32_t c) {
  constexpr std::array<std::pair<std::int32_t, std::int32_t>, 5> kPairs = {
      {{'(', ')'}, {'[', ']'}, {'{', '}'}, {'<', '>'}, {0xAB, 0xBB}}};
  for (const auto& [open, close] : kPairs) {
    if (c == open) return close;
    if (c == close) return open;
  }
  return c;
}

bool is_han_or_kana(std::int32_t c) {
  return (c >= 0x3000 && c <= 0x30FF) || (c >= 0x3400 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0xFF00 && c <= 0xFF65) || (c >= 0x20000 && c <= 0x3FFFF);
}

bool is_letter(std::int32_t c) {
  int category = utf8proc_get_property(c)->category;
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_MC;
}

}  // namespace

bool has_right_to_left(std::string_view text) {
  std::vector<std::int32_t> all = decoded(text);
  return std::any_of(all.begin(), all.end(), is_right_to_left);
}

std::string in_reading_order(std::string_view drawn) {
  std::vector<std::int32_t> text = decoded(drawn);
  if (std::none_of(text.begin(), text.end(), is_right_to_left)) return std::string(drawn);
  std::vector<int> levels = levels_of(text);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (levels[i] == 1) text[i] = mirrored(text[i]);
  }
  for (int level : {2, 1}) {
    for (std::size_t i = 0; i < text.size();) {
      std::size_t end = i;
      while (end < text.size() && levels[end] >= level) ++end;
      std::reverse(text.begin() + static_cast<std::ptrdiff_t>(i),
                   text.begin() + static_cast<std::ptrdiff_t>(end));
      // The levels turn with their characters.
      std::reverse(levels.begin() + static_cast<std::ptrdiff_t>(i),
                   levels.begin() + static_cast<std::ptrdiff_t>(end));
      i = std::max(end, i + 1);
    }
  }
  // poppler keeps marks behind their letters, which turning has put before them.
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    std::size_t end = i;
    while (end < text.size() && is_mark(text[end])) ++end;
    if (end > i && end < text.size() && is_right_to_left(text[end])) {
      std::rotate(text.begin() + static_cast<std::ptrdiff_t>(i),
                  text.begin() + static_cast<std::ptrdiff_t>(end),
                  text.begin() + static_cast<std::ptrdiff_t>(end) + 1);
    }
    i = end;
  }
  std::string out;
  for (std::int32_t c : text) append_utf8(out, static_cast<std::uint32_t>(c));
  return out;
}

std::string expand_forms(std::string_view text) {
  std::string out;
  for (std::int32_t c : decoded(text)) {
    bool form = (c >= 0xFB00 && c <= 0xFDFB) || (c >= 0xFE70 && c <= 0xFEFC);
    std::array<utf8proc_int32_t, 32> parts{};
    int boundary = 0;
    utf8proc_ssize_t count =
        form ? utf8proc_decompose_char(c, parts.data(), parts.size(),
                                       static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT),
                                       &boundary)
             : 0;
    if (count <= 0 || count > static_cast<utf8proc_ssize_t>(parts.size())) {
      append_utf8(out, static_cast<std::uint32_t>(c));
      continue;
    }
    for (utf8proc_ssize_t i = 0; i < count; ++i)
      append_utf8(out, static_cast<std::uint32_t>(parts[static_cast<std::size_t>(i)]));
  }
  return out;
}

std::string as_superscript(std::string_view digits) {
  constexpr std::array<std::string_view, 10> kDigits = {"\u2070", "\u00B9", "\u00B2", "\u00B3", "\u2074",
                                                        "\u2075", "\u2076", "\u2077", "\u2078", "\u2079"};
  std::string out;
  for (std::int32_t c : decoded(digits)) {
    if (c >= '0' && c <= '9') {
      out += kDigits[static_cast<std::size_t>(c - '0')];
    } else if (c == '-' || c == 0x2212 || c == 0x2013) {
      out += "\u207B";
    } else if (c == '+') {
      out += "\u207A";
    } else {
      return "";
    }
  }
  return out;
}

bool joins_without_space(std::string_view before, std::string_view after) {
  return is_han_or_kana(last_of(before)) && is_han_or_kana(first_of(after));
}

bool is_cut_word(std::string_view before, std::string_view after) {
  for (std::string_view hyphen : {std::string_view("-"), kSoftHyphen, kHyphen}) {
    if (!before.ends_with(hyphen)) continue;
    before.remove_suffix(hyphen.size());
    std::int32_t next = first_of(after);
    bool lower = utf8proc_get_property(next)->category == UTF8PROC_CATEGORY_LL;
    return is_letter(last_of(before)) && (hyphen == kSoftHyphen ? is_letter(next) : lower);
  }
  return false;
}

}  // namespace bulkhead::extract
