#include "extract/script_text.h"

#include <array>

namespace bulkhead::extract {

std::string superscript(std::string_view utf8) {
  constexpr std::array<std::string_view, 10> kDigits = {"\u2070", "\u00B9", "\u00B2", "\u00B3", "\u2074",
                                                        "\u2075", "\u2076", "\u2077", "\u2078", "\u2079"};
  std::string out;
  while (!utf8.empty()) {
    char c = utf8[0];
    std::size_t length = 1;
    if (c >= '0' && c <= '9') {
      out += kDigits[static_cast<std::size_t>(c - '0')];
    } else if (c == '+') {
      out += "\u207A";
    } else if (c == '-') {
      out += "\u207B";
    } else if (utf8.starts_with("\u2212")) {
      out += "\u207B";
      length = std::string_view("\u2212").size();
    } else {
      out += c;
    }
    utf8.remove_prefix(length);
  }
  return out;
}

}  // namespace bulkhead::extract
