#include "extract/rtf_text.h"

#include <array>
#include <map>

#include "extract/encoding.h"

namespace bulkhead::extract {

int code_page_of_charset(int charset, int ansi) {
  static const std::map<int, int> kPages = {{77, 10'000}, {128, 932},  {129, 949},  {134, 936},  {136, 950},
                                            {161, 1253},  {162, 1254}, {163, 1258}, {177, 1255}, {178, 1256},
                                            {186, 1257},  {204, 1251}, {222, 874},  {238, 1250}, {255, 437}};
  auto found = kPages.find(charset);
  return found == kPages.end() ? ansi : found->second;
}

std::string from_symbol_font(std::string_view bytes) {
  static const std::map<unsigned char, const char*> kSigns = {
      {0xA3, "≤"}, {0xB3, "≥"}, {0xB1, "±"}, {0xB4, "×"}, {0xB8, "÷"}, {0xB0, "°"}, {0xB9, "≠"},
      {0xBB, "≈"}, {0xA5, "∞"}, {0xD6, "√"}, {0xE5, "∑"}, {0xAE, "→"}, {0xAC, "←"}, {0xDE, "⇒"},
      {0xB7, "•"}, {0xD7, "⋅"}, {0xA2, "′"}, {0xB2, "″"}, {0x2D, "−"}, {0x40, "≅"}};
  constexpr std::array<std::string_view, 26> kGreek = {"α", "β", "χ", "δ", "ε", "φ", "γ", "η", "ι",
                                                       "ϕ", "κ", "λ", "μ", "ν", "ο", "π", "θ", "ρ",
                                                       "σ", "τ", "υ", "ϖ", "ω", "ξ", "ψ", "ζ"};
  constexpr std::array<std::string_view, 26> kGreekCapitals = {"Α", "Β", "Χ", "Δ", "Ε", "Φ", "Γ", "Η", "Ι",
                                                               "ϑ", "Κ", "Λ", "Μ", "Ν", "Ο", "Π", "Θ", "Ρ",
                                                               "Σ", "Τ", "Υ", "ς", "Ω", "Ξ", "Ψ", "Ζ"};
  std::string out;
  for (char byte : bytes) {
    auto c = static_cast<unsigned char>(byte);
    auto sign = kSigns.find(c);
    if (sign != kSigns.end()) {
      out += sign->second;
    } else if (c >= 'a' && c <= 'z') {
      out += kGreek[c - 'a'];
    } else if (c >= 'A' && c <= 'Z') {
      out += kGreekCapitals[c - 'A'];
    } else if (c < 0x80) {
      out += byte;
    } else {
      out += "\uFFFD";
    }
  }
  return out;
}

std::string decode_code_page(std::string_view bytes, int code_page) {
  std::string name = code_page == 10'000                        ? "macintosh"
                     : code_page == 65'001                      ? "UTF-8"
                     : code_page >= 1'250 && code_page <= 1'258 ? "windows-" + std::to_string(code_page)
                                                                : "cp" + std::to_string(code_page);
  auto text = decode_as(name, bytes);
  if (!text) text = decode_as("windows-1252", bytes);
  return text ? *text : std::string();
}

}  // namespace bulkhead::extract
