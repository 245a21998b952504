#include "extract/rtf_text.h"

#include <map>

#include "extract/encoding.h"
#include "extract/symbol_font.h"

namespace bulkhead::extract {

int code_page_of_charset(int charset, int ansi) {
  static const std::map<int, int> kPages = {{77, 10'000}, {128, 932},  {129, 949},  {134, 936},  {136, 950},
                                            {161, 1253},  {162, 1254}, {163, 1258}, {177, 1255}, {178, 1256},
                                            {186, 1257},  {204, 1251}, {222, 874},  {238, 1250}, {255, 437}};
  auto found = kPages.find(charset);
  return found == kPages.end() ? ansi : found->second;
}

std::string decode_code_page(std::string_view bytes, int code_page) {
  if (code_page == kSymbolFont || code_page == kWingdingsFont) {
    std::string out;
    for (char byte : bytes)
      out += symbol_text(code_page == kSymbolFont ? "Symbol" : "Wingdings", static_cast<unsigned char>(byte));
    return out;
  }
  std::string name = code_page == 10'000                        ? "macintosh"
                     : code_page == 65'001                      ? "UTF-8"
                     : code_page >= 1'250 && code_page <= 1'258 ? "windows-" + std::to_string(code_page)
                                                                : "cp" + std::to_string(code_page);
  auto text = decode_as(name, bytes);
  if (!text) text = decode_as("windows-1252", bytes);
  return text ? *text : std::string();
}

}  // namespace bulkhead::extract
