#include "extract/ocr_order.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>
#include <utility>

namespace bulkhead::extract {

namespace {

constexpr double kProseWords = 4;       // most lines of running text have so many
constexpr std::size_t kProseLines = 3;  // and it has so many lines
constexpr double kBeside = 0.5;         // of the lower block's height, that the other stands beside
constexpr double kSameLine = 0.5;       // of a line's height

struct Area {
  std::size_t from = 0, to = 0;  // words
  double left = HUGE_VAL, right = -HUGE_VAL, top = HUGE_VAL, bottom = -HUGE_VAL;
  bool prose = false;
};

Area area_of(const std::vector<RecognisedWord>& words, std::size_t from, std::size_t to) {
  Area block{.from = from, .to = to};
  std::vector<std::size_t> lines;
  for (std::size_t i = from; i < to; ++i) {
    const PdfWord& word = words[i].word;
    block.left = std::min(block.left, word.left);
    block.right = std::max(block.right, word.right);
    block.top = std::min(block.top, word.top);
    block.bottom = std::max(block.bottom, word.top + word.height);
    if (i == from || words[i].line != words[i - 1].line) lines.push_back(0);
    ++lines.back();
  }
  const auto middle = lines.begin() + static_cast<std::ptrdiff_t>(lines.size() / 2);
  std::nth_element(lines.begin(), middle, lines.end());
  block.prose = lines.size() >= kProseLines && static_cast<double>(*middle) >= kProseWords;
  return block;
}

bool side_by_side(const Area& a, const Area& b) {
  const double shared = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  const double lower = std::min(a.bottom - a.top, b.bottom - b.top);
  return (a.right <= b.left || b.right <= a.left) && shared > lower * kBeside;
}

// Lines of one height together, each from left to right.
void sort_in_rows(std::vector<PdfWord>& words) {
  std::stable_sort(words.begin(), words.end(),
                   [](const PdfWord& a, const PdfWord& b) { return a.top < b.top; });
  for (auto row = words.begin(); row != words.end();) {
    const double reach = row->top + row->height * kSameLine;
    const auto end = std::find_if(row, words.end(), [&](const PdfWord& word) { return word.top > reach; });
    std::stable_sort(row, end, [](const PdfWord& a, const PdfWord& b) { return a.left < b.left; });
    // One height for all of them, so that they stay one row.
    for (auto word = row; word != end; ++word) {
      word->height = row->height;
      word->top = row->top;
      word->base = row->base;
    }
    row = end;
  }
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "=", ">", "<=", "+", or the "s" that a "≤" becomes.
bool is_sign(std::string_view text) {
  return !text.empty() && text.size() <= 2 && text.find_first_not_of("=<>+s") == std::string_view::npos;
}

}  // namespace

std::size_t count_ambiguous_signs(const std::vector<PdfWord>& words) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i].text;
    const std::size_t sign = std::min(word.find_first_not_of("=<>+"), word.size());
    const bool before_own = sign > 0 && sign < word.size() && is_digit(word[sign]);
    const bool before_next = is_sign(word) && i + 1 < words.size() && is_digit(words[i + 1].text[0]);
    const bool unit =
        (word.starts_with("pmol") || word.starts_with("pg/")) && i > 0 && is_digit(words[i - 1].text[0]);
    count += before_own || before_next || unit ? 1 : 0;
  }
  return count;
}

std::vector<PdfWord> in_rows(std::vector<RecognisedWord> words) {
  std::vector<Area> blocks;
  for (std::size_t from = 0, i = 1; i <= words.size(); ++i) {
    if (i < words.size() && words[i].block == words[i - 1].block) continue;
    if (from < words.size()) blocks.push_back(area_of(words, from, i));
    from = i;
  }
  std::vector<PdfWord> ordered;
  std::vector<bool> used(blocks.size(), false);
  for (std::size_t first = 0; first < blocks.size(); ++first) {
    if (used[first]) continue;
    std::vector<std::size_t> chart{first};
    used[first] = true;
    for (std::size_t at = 0; at < chart.size(); ++at) {
      for (std::size_t other = first + 1; other < blocks.size(); ++other) {
        if (used[other] || (blocks[chart[at]].prose && blocks[other].prose)) continue;
        if (!side_by_side(blocks[chart[at]], blocks[other])) continue;
        used[other] = true;
        chart.push_back(other);
      }
    }
    std::vector<PdfWord> part;
    for (std::size_t block : chart) {
      for (std::size_t i = blocks[block].from; i < blocks[block].to; ++i)
        part.push_back(std::move(words[i].word));
    }
    if (chart.size() > 1) sort_in_rows(part);
    std::move(part.begin(), part.end(), std::back_inserter(ordered));
  }
  return ordered;
}

}  // namespace bulkhead::extract
