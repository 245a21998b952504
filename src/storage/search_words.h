// Plain words → an FTS5 query that can't be anything else than "any of these words".
//
// A word keeps its ASCII letters and digits and its characters beyond ASCII (the tokenizer decides
// which of them are letters); everything else separates. English stop words and single ASCII letters
// are dropped. What is left is quoted as FTS5 strings and joined by OR, at most `words_max` of at most
// 64 bytes each. Empty when nothing is left.
#pragma once

#include <string>
#include <vector>

namespace bulkhead::storage {

// The words by themselves, for an index that is not FTS5.
std::vector<std::string> search_words(const std::vector<std::string>& words, std::size_t words_max = 32);
std::string match_any_of(const std::vector<std::string>& words, std::size_t words_max = 32);

}  // namespace bulkhead::storage
