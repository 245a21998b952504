// The bytes of Rich Text Format as text: Windows code pages, and the Symbol font.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead::extract {

// In place of a code page, for text in the Symbol font.
inline constexpr int kSymbolFont = -1;

// Of a font by its \fcharset; those that have none take the document's own, `ansi`.
int code_page_of_charset(int charset, int ansi);

// UTF-8 of bytes in a code page by its number; an unknown one is read as 1252.
std::string decode_code_page(std::string_view bytes, int code_page);

// The signs of the Symbol font that change what a text says, and its Greek letters.
std::string from_symbol_font(std::string_view bytes);

}  // namespace bulkhead::extract
