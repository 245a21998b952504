// Characters of a PDF's line as text: a PDF draws from left to right whatever the script, and draws
// ligatures and shapes of letters where text has letters. UTF-8 throughout; what is no UTF-8 stays.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead::extract {

bool has_right_to_left(std::string_view text);

// From the order in which a line is drawn, left to right, to the order in which it is read and stored
// (Unicode Standard Annex 9). Figures inside right-to-left text keep their order.
std::string in_reading_order(std::string_view drawn);

// Presentation forms (ligatures, Arabic letters by place) as the letters that they stand for.
std::string expand_forms(std::string_view text);

// `digits` raised: "10" and "9" are 10⁹, not 109. Empty when there is no raised form of one of them.
std::string as_superscript(std::string_view digits);

// Whether no space stands between two lines that end and begin so: Chinese and Japanese have none.
bool joins_without_space(std::string_view before, std::string_view after);

// Whether a word's part before a line's end, a hyphen there and the next line's start are one word.
bool is_cut_word(std::string_view before, std::string_view after);

}  // namespace bulkhead::extract
