// Text in a named character set, by ICU's converters, whose tables are part of the library: nothing is
// opened.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::extract {

// UTF-8 of `bytes` in a character set of the IANA's registry or one of ICU's aliases ("windows-1251"); a
// byte that stands for nothing costs one U+FFFD. Nothing when the set is unknown.
std::optional<std::string> decode_charset(std::string_view bytes, std::string_view charset);

// Of a Windows code page by its number: 932, 1252. Unknown ones are read as 1252.
std::string decode_code_page(std::string_view bytes, int code_page);

}  // namespace bulkhead::extract
