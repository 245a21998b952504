// Terms of a text beside its plain words, for the text index of every backend: what a tokenizer that parts at
// white space and punctuation loses.
//
//  - Scripts that are written without spaces (Han, Kana, Hangul, Thai, Lao, Khmer, Burmese): pairs of
//  neighbouring
//    letters. No dictionary: names and new words are found like others.
//  - Hebrew and Arabic words without their vowel marks, and without prefixes that are written together with
//  them.
//  - Numbers, codes and units as they are written: "12.5", "A-1043/22", "I10.9", "12.5 mg" and "12.5mg", "≥
//  90" and
//    ">= 90", groups of digits ("DE89 3704 …", telephone numbers) together.
//
// Both sides of a search go through the same functions, on text in NFKC (Unicode Annex 15), where full-width
// digits, ligatures and narrow spaces are what they stand for. A term is letters, digits and private-use
// characters in place of marks, so that FTS5's unicode61 keeps it whole and no plain word equals it.
//
// Pure; thread-safe. Texts are UTF-8; what is not well-formed yields no terms.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::storage {

// In NFKC; hyphens of all kinds as "-", spaces of all kinds as " ". The text itself when it is not
// well-formed.
std::string normalized(std::string_view text);

// Each once, in the order of the text; at most `terms_max`.
std::vector<std::string> special_terms(std::string_view normalized_text, std::size_t terms_max);

// What is given to a text index for this text: it, normalized, and its special terms behind.
std::string index_text(std::string_view text);

// Whether the word is of a script without spaces, so that only its terms are of use.
bool is_unspaced(std::string_view word);

}  // namespace bulkhead::storage
