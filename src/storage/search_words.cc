#include "storage/search_words.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace bulkhead::storage {
namespace {

constexpr std::size_t kWordBytesMax = 64;

constexpr auto kStopWords = std::to_array<std::string_view>({
    "about", "after",  "all",  "also",  "am",   "an",    "and", "any",   "are",  "as",   "at",
    "be",    "been",   "but",  "by",    "can",  "could", "did", "do",    "does", "for",  "from",
    "had",   "has",    "have", "he",    "her",  "him",   "his", "how",   "if",   "in",   "into",
    "is",    "it",     "its",  "me",    "my",   "no",    "not", "of",    "on",   "or",   "our",
    "she",   "should", "so",   "some",  "than", "that",  "the", "their", "them", "then", "there",
    "these", "they",   "this", "those", "to",   "was",   "we",  "were",  "what", "when", "where",
    "which", "who",    "why",  "will",  "with", "would", "you", "your",
});

bool is_stop_word(std::string_view word) {
  return std::find(kStopWords.begin(), kStopWords.end(), word) != kStopWords.end();
}

// The length of the well-formed UTF-8 sequence of two or more bytes at `text`, or nothing.
std::optional<std::size_t> sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  const std::size_t length = lead >= 0xf0 && lead <= 0xf4  ? 4
                             : lead >= 0xe0 && lead < 0xf0 ? 3
                             : lead >= 0xc2 && lead < 0xe0 ? 2
                                                           : 0;
  if (length == 0 || text.size() < length) return std::nullopt;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return std::nullopt;
  }
  return length;
}

void add_word(std::vector<std::string>& out, std::string& word) {
  const bool single_letter = word.size() == 1 && word[0] >= 'a' && word[0] <= 'z';
  if (!word.empty() && !single_letter && !is_stop_word(word) &&
      std::find(out.begin(), out.end(), word) == out.end()) {
    out.push_back(word);
  }
  word.clear();
}

void split(std::vector<std::string>& out, std::string_view text, std::size_t words_max) {
  std::string word;
  while (!text.empty() && out.size() < words_max) {
    const char first = text.front();
    std::size_t length = 1;
    bool keep = false;
    if (static_cast<std::uint8_t>(first) < 0x80) {
      const char lower = first >= 'A' && first <= 'Z' ? static_cast<char>(first | 0x20) : first;
      keep = (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9');
      if (keep && word.size() < kWordBytesMax) word.push_back(lower);
    } else if (const auto sequence = sequence_length(text)) {
      length = *sequence;
      keep = true;
      if (word.size() + length <= kWordBytesMax) word.append(text.substr(0, length));
    }
    if (!keep) add_word(out, word);
    text.remove_prefix(length);
  }
  if (out.size() < words_max) add_word(out, word);
}

}  // namespace

std::vector<std::string> search_words(const std::vector<std::string>& words, std::size_t words_max) {
  std::vector<std::string> parts;
  for (const std::string& word : words) {
    if (parts.size() >= words_max) break;
    split(parts, word, words_max);
  }
  return parts;
}

std::string match_any_of(const std::vector<std::string>& words, std::size_t words_max) {
  std::string query;
  for (const std::string& part : search_words(words, words_max)) {
    if (!query.empty()) query += " OR ";
    query += '"';
    query += part;
    query += '"';
  }
  return query;
}

}  // namespace bulkhead::storage
