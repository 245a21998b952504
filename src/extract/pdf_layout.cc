#include "extract/pdf_layout.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace bulkhead::extract {

namespace {

constexpr double kGapSizes = 0.9;  // a gap this wide, in font sizes, parts two cells
constexpr double kSameLineHeights = 0.4;
constexpr std::size_t kNearRuns = 12;  // how far apart in reading order runs of one row may be

std::vector<PdfRun> runs_of(const std::vector<PdfWord>& words) {
  std::vector<PdfRun> runs;
  for (const PdfWord& word : words) {
    // A file's own numbers may be anything; sorting needs real ones.
    if (!std::isfinite(word.left) || !std::isfinite(word.right) || !std::isfinite(word.top) ||
        !std::isfinite(word.height) || !std::isfinite(word.size)) {
      continue;
    }
    PdfRun* last = runs.empty() ? nullptr : &runs.back();
    bool same = last && std::abs(last->top - word.top) < word.height * kSameLineHeights &&
                word.left > last->left && word.left - last->right < word.size * kGapSizes;
    if (!same) {
      runs.push_back({word.text, word.left, word.right, word.top, word.height, word.size, word.font});
      continue;
    }
    last->text += ' ' + word.text;
    last->right = std::max(last->right, word.right);
    last->size = std::max(last->size, word.size);
    if (last->font != word.font) last->font.clear();
  }
  return runs;
}

bool overlaps(double left_a, double right_a, double left_b, double right_b) {
  return left_a < right_b && left_b < right_a;
}

// A row that reading order puts below rows it stands above (a list's bullets come before its texts)
// moves up, but never past another column of the page.
void settle(std::vector<PdfRow>& rows, std::size_t floor) {
  for (std::size_t i = rows.size() - 1; i > floor; --i) {
    PdfRow &above = rows[i - 1], &row = rows[i];
    bool out_of_order = above.top() > row.top() + row.runs[0].height * kSameLineHeights;
    if (!out_of_order || !overlaps(above.left(), above.right(), row.left(), row.right())) return;
    std::swap(above, row);
  }
}

std::string without_digits(std::string text) {
  std::erase_if(text, [](char c) { return c >= '0' && c <= '9'; });
  return text;
}

}  // namespace

double PdfRow::size() const {
  double largest = 0;
  for (const PdfRun& run : runs) largest = std::max(largest, run.size);
  return largest;
}

std::string PdfRow::text() const {
  std::string joined;
  for (const PdfRun& run : runs) joined += (joined.empty() ? "" : " ") + run.text;
  return joined;
}

std::vector<PdfRow> rows_of_page(const std::vector<PdfWord>& words, std::uint32_t page) {
  std::vector<PdfRun> runs = runs_of(words);
  std::vector<bool> used(runs.size(), false);
  std::vector<PdfRow> rows;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (used[i]) continue;
    PdfRow row{{runs[i]}, page};
    for (std::size_t j = i + 1; j < std::min(runs.size(), i + kNearRuns); ++j) {
      bool level = !used[j] && std::abs(runs[j].top - runs[i].top) < runs[i].height * kSameLineHeights;
      bool apart = std::none_of(row.runs.begin(), row.runs.end(), [&](const PdfRun& run) {
        return overlaps(run.left, run.right, runs[j].left, runs[j].right);
      });
      if (!level || !apart) continue;
      used[j] = true;
      row.runs.push_back(runs[j]);
    }
    std::sort(row.runs.begin(), row.runs.end(),
              [](const PdfRun& a, const PdfRun& b) { return a.left < b.left; });
    rows.push_back(std::move(row));
    settle(rows, rows.size() > kNearRuns ? rows.size() - kNearRuns : 0);
  }
  return rows;
}

void drop_furniture(std::vector<PdfRow>& rows) {
  std::map<std::string, std::set<std::uint32_t>> seen;
  auto is_edge = [&rows](std::size_t i) {
    return i == 0 || rows[i - 1].page != rows[i].page || i + 1 == rows.size() ||
           rows[i + 1].page != rows[i].page;
  };
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (is_edge(i)) seen[without_digits(rows[i].text())].insert(rows[i].page);
  }
  std::erase_if(rows, [&seen](const PdfRow& row) {
    auto found = seen.find(without_digits(row.text()));
    return found != seen.end() && found->second.size() >= 2;
  });
}

}  // namespace bulkhead::extract
