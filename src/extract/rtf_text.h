// The bytes of Rich Text Format as text: Windows code pages, and fonts of signs.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead::extract {

// In place of a code page, for text in a font that draws other signs than its codes say.
inline constexpr int kSymbolFont = -1, kWingdingsFont = -2;

// Of a font by its \fcharset; those that have none take the document's own, `ansi`.
int code_page_of_charset(int charset, int ansi);

// UTF-8 of bytes in a code page by its number; an unknown one is read as 1252.
std::string decode_code_page(std::string_view bytes, int code_page);

}  // namespace bulkhead::extract
