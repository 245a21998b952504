#include "extract/pdf_layout.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "extract/pdf_columns.h"
#include "extract/pdf_script.h"

namespace bulkhead::extract {

namespace {

constexpr double kGapSizes = 0.9;  // a gap this wide, in font sizes, parts two cells
constexpr double kSameLineHeights = 0.4;
constexpr double kGluedSizes = 0.1;      // a gap this narrow is none
constexpr double kScriptSizes = 0.85;    // super- and subscripts are smaller,
constexpr double kScriptShift = 0.08;    // stand off the line by this at least
constexpr double kScriptShiftMax = 0.8;  // and this at most,
constexpr double kScriptGap = 0.25;      // and follow closely
constexpr double kEvenGaps = 1.8;        // of a justified line, the widest by the narrowest
constexpr double kJustifiedGap = 5;      // in font sizes
constexpr double kNextLine = 1.8;
constexpr double kAlignedPoints = 2.5;
constexpr std::size_t kSettleRows = 200;  // by which a row moves up at most
constexpr std::size_t kNearRuns = 12;     // how far apart in reading order runs of one row may be

bool is_finite(const PdfWord& word) {
  // A file's own numbers may be anything; sorting needs real ones.
  return std::isfinite(word.left) && std::isfinite(word.right) && std::isfinite(word.top) &&
         std::isfinite(word.height) && std::isfinite(word.size) && std::isfinite(word.base);
}

// A small word that stands raised or lowered right behind another: the 2 of m² or of CO₂.
bool is_script(const PdfRun& run, const PdfWord& word) {
  double shift = std::abs(word.base - run.base), gap = word.left - run.right;
  return word.size < run.size * kScriptSizes && shift > run.size * kScriptShift &&
         shift < run.size * kScriptShiftMax && gap > -run.size * kScriptGap && gap < run.size * kScriptGap;
}

void append_script(PdfRun& run, const PdfWord& word) {
  std::string raised = word.base < run.base ? as_superscript(word.text) : std::string();
  run.text += raised.empty() ? word.text : raised;
  run.right = std::max(run.right, word.right);
}

void append_word(PdfRun& run, const PdfWord& word) {
  bool glued = word.left - run.right < std::min(run.size, word.size) * kGluedSizes;
  if (!glued && !joins_without_space(run.text, word.text)) run.text += ' ';
  run.text += word.text;
  run.right = std::max(run.right, word.right);
  if (word.size > run.size) run.base = word.base;
  run.size = std::max(run.size, word.size);
  if (run.font != word.font) run.font.clear();
}

std::vector<PdfRun> runs_of(const std::vector<PdfWord>& words) {
  std::vector<PdfRun> runs;
  for (const PdfWord& word : words) {
    if (!is_finite(word)) continue;
    PdfRun* last = runs.empty() ? nullptr : &runs.back();
    bool based = last && last->base != 0 && std::abs(last->base - word.base) < 0.5;
    bool level = last && (based || std::abs(last->top - word.top) < word.height * kSameLineHeights);
    bool follows = last && word.left > last->left && word.left - last->right < word.size * kGapSizes;
    if (last && is_script(*last, word)) {
      append_script(*last, word);
    } else if (level && follows) {
      append_word(*last, word);
    } else {
      runs.push_back(
          {word.text, word.left, word.right, word.top, word.height, word.size, word.font, word.base});
    }
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

}  // namespace

double PdfRow::size() const {
  double largest = 0;
  for (const PdfRun& run : runs) largest = std::max(largest, run.size);
  return largest;
}

std::string PdfRow::text() const {
  std::string joined;
  bool to_the_left =
      std::any_of(runs.begin(), runs.end(), [](const PdfRun& run) { return has_right_to_left(run.text); });
  auto add = [&joined](const PdfRun& run) { joined += (joined.empty() ? "" : " ") + run.text; };
  if (to_the_left) {
    std::for_each(runs.rbegin(), runs.rend(), add);
  } else {
    std::for_each(runs.begin(), runs.end(), add);
  }
  return joined;
}

namespace {

// A line of which the words stand wide apart so that it ends where its neighbours do.
bool is_justified(const PdfRow& row, const PdfRow& neighbour) {
  if (row.runs.size() < 3 || neighbour.runs.size() != 1) return false;
  double narrowest = HUGE_VAL, widest = 0;
  for (std::size_t i = 1; i < row.runs.size(); ++i) {
    double gap = row.runs[i].left - row.runs[i - 1].right;
    narrowest = std::min(narrowest, gap);
    widest = std::max(widest, gap);
  }
  double size = row.size(), step = std::abs(row.top() - neighbour.top());
  return widest < narrowest * kEvenGaps && widest < size * kJustifiedGap && step < size * kNextLine &&
         std::abs(row.left() - neighbour.left()) < size &&
         neighbour.right() > row.right() - size * kJustifiedGap;
}

void join_runs(PdfRow& row) {
  PdfRun& first = row.runs.front();
  for (std::size_t i = 1; i < row.runs.size(); ++i) {
    first.text += ' ' + row.runs[i].text;
    first.right = std::max(first.right, row.runs[i].right);
    if (first.font != row.runs[i].font) first.font.clear();
  }
  row.runs.resize(1);
}

// Cell by cell below each other: a row of a chart.
bool stands_below(const PdfRow& a, const PdfRow& b) {
  return a.runs.size() == b.runs.size() &&
         std::equal(a.runs.begin(), a.runs.end(), b.runs.begin(), [](const PdfRun& one, const PdfRun& other) {
           double middles = std::abs(one.left + one.right - other.left - other.right) / 2;
           return std::min({std::abs(one.left - other.left), std::abs(one.right - other.right), middles}) <
                  kAlignedPoints;
         });
}

// A line joined to one gives the next its neighbour.
void join_justified(std::vector<PdfRow>& rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    bool above = i > 0 && is_justified(rows[i], rows[i - 1]);
    bool below = i + 1 < rows.size() && is_justified(rows[i], rows[i + 1]);
    bool chart = i + 1 < rows.size() && stands_below(rows[i], rows[i + 1]);
    if ((above || below) && !chart) join_runs(rows[i]);
  }
}

// Of words in one rotation.
std::vector<PdfRow> upright_rows(const std::vector<PdfWord>& words, std::uint32_t page, int rotation) {
  std::vector<PdfRun> runs = runs_of(words);
  PdfColumns columns(runs);
  std::vector<bool> used(runs.size(), false);
  std::vector<PdfRow> rows;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (used[i]) continue;
    PdfRow row{{runs[i]}, page, rotation};
    auto take = [&](std::size_t j) {
      bool level = !used[j] && std::abs(runs[j].top - runs[i].top) < runs[i].height * kSameLineHeights;
      bool apart = std::none_of(row.runs.begin(), row.runs.end(), [&](const PdfRun& run) {
        return overlaps(run.left, run.right, runs[j].left, runs[j].right);
      });
      if (!level || !apart) return;
      used[j] = true;
      row.runs.push_back(runs[j]);
    };
    used[i] = true;
    for (std::size_t j = i + 1; j < std::min(runs.size(), i + kNearRuns); ++j) {
      if (!columns.are_prose(i, j)) take(j);
    }
    for (std::size_t j : columns.cells_beside(i)) take(j);
    std::sort(row.runs.begin(), row.runs.end(),
              [](const PdfRun& a, const PdfRun& b) { return a.left < b.left; });
    rows.push_back(std::move(row));
    settle(rows, rows.size() > kSettleRows ? rows.size() - kSettleRows : 0);
  }
  join_justified(rows);
  for (PdfRow& row : rows) {
    for (PdfRun& run : row.runs) run.text = expand_forms(in_reading_order(run.text));
  }
  return rows;
}

}  // namespace

std::vector<PdfRow> rows_of_page(const std::vector<PdfWord>& words, std::uint32_t page) {
  std::array<std::vector<PdfWord>, 4> turned;
  for (const PdfWord& word : words) turned[static_cast<std::size_t>(word.rotation & 3)].push_back(word);
  // What most of the page is written in comes first.
  std::array<std::size_t, 4> order = {0, 1, 2, 3};
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return turned[a].size() != turned[b].size() ? turned[a].size() > turned[b].size() : a < b;
  });
  std::vector<PdfRow> rows;
  for (std::size_t rotation : order) {
    if (turned[rotation].empty()) continue;
    for (PdfRow& row : upright_rows(turned[rotation], page, static_cast<int>(rotation))) {
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

}  // namespace bulkhead::extract
