// Characters of fonts that draw other signs than their codes say: Symbol, Wingdings. "F0B3" of Symbol is "≥".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::extract {

// UTF-8 of the sign. A code of the private area in a font that isn't known becomes U+FFFD: a sign that stands
// there must not vanish.
std::string symbol_text(std::string_view font, std::uint32_t code);

// A text with its private characters turned into the font's signs.
std::string with_symbols(std::string_view font, std::string_view utf8);

}  // namespace bulkhead::extract
