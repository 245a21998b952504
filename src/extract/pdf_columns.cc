#include "extract/pdf_columns.h"

#include <algorithm>
#include <cmath>

namespace bulkhead::extract {

namespace {

constexpr double kSameLineHeights = 0.4;
constexpr std::size_t kStripsMax = 200;  // a page of more has no charts
constexpr std::size_t kRowsMin = 3;      // of a chart
constexpr double kLevelShare = 0.6;      // of the shorter column's cells have one beside them
constexpr double kCellWords = 3;         // most cells of one of two columns have no more words,
constexpr double kLongCellWords = 6;     // and of the other none than these
constexpr double kProseWords = 4;        // most lines of running text have so many
constexpr double kWideShare = 0.2;       // of its lines may stand wider apart
constexpr double kEvenSteps = 1.3;       // wider steps, by the usual one, part paragraphs or rows
constexpr std::size_t kNone = static_cast<std::size_t>(-1);

double words_of(const PdfRun& run) {
  return 1.0 + static_cast<double>(std::count(run.text.begin(), run.text.end(), ' '));
}

double middle_of(std::vector<double> values) {
  if (values.empty()) return 0;
  auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

bool is_below(const PdfRun& run, const PdfRun& above) {
  bool overlaps = run.left < above.right && above.left < run.right;
  return overlaps && run.top > above.top + above.height * kSameLineHeights;
}

}  // namespace

PdfColumns::PdfColumns(const std::vector<PdfRun>& runs) : runs_(runs), strip_of_run_(runs.size(), 0) {
  for (std::size_t from = 0, i = 1; i <= runs.size(); ++i) {
    if (i < runs.size() && is_below(runs[i], runs[i - 1])) continue;
    for (std::size_t j = from; j < i; ++j) strip_of_run_[j] = strips_.size();
    strips_.push_back(strip_of(from, i));
    from = i;
  }
  if (strips_.size() > kStripsMax) return;
  for (std::size_t a = 0; a < strips_.size(); ++a) {
    for (std::size_t b = a + 1; b < strips_.size(); ++b) {
      if (!is_chart(strips_[a], strips_[b])) continue;
      strips_[a].mates.push_back(b);
      strips_[b].mates.push_back(a);
    }
  }
}

PdfColumns::Strip PdfColumns::strip_of(std::size_t from, std::size_t to) const {
  Strip strip{from, to, HUGE_VAL, -HUGE_VAL, 0, false, false, {}};
  std::vector<double> words, steps;
  std::size_t figures = 0;
  for (std::size_t i = from; i < to; ++i) {
    strip.left = std::min(strip.left, runs_[i].left);
    strip.right = std::max(strip.right, runs_[i].right);
    words.push_back(words_of(runs_[i]));
    figures += runs_[i].text.find_first_of("0123456789") != std::string::npos ? 1 : 0;
    if (i > from) steps.push_back(runs_[i].top - runs_[i - 1].top);
  }
  strip.words = middle_of(words);
  double usual = middle_of(steps);
  auto wide =
      std::count_if(steps.begin(), steps.end(), [usual](double step) { return step > usual * kEvenSteps; });
  strip.tight =
      to - from >= kRowsMin && static_cast<double>(wide) <= kWideShare * static_cast<double>(steps.size());
  bool mostly_figures = figures * 2 > to - from;
  strip.cells = strip.words <= 1 || (strip.words <= kCellWords && (mostly_figures || !strip.tight));
  return strip;
}

// By its top: those of a strip grow.
std::size_t PdfColumns::level_run(const Strip& strip, const PdfRun& run) const {
  double reach = run.height * kSameLineHeights;
  auto begin = runs_.begin() + static_cast<std::ptrdiff_t>(strip.from);
  auto end = runs_.begin() + static_cast<std::ptrdiff_t>(strip.to);
  auto at = std::lower_bound(begin, end, run.top - reach,
                             [](const PdfRun& other, double top) { return other.top < top; });
  bool level = at != end && std::abs(at->top - run.top) < reach;
  return level ? static_cast<std::size_t>(at - runs_.begin()) : kNone;
}

bool PdfColumns::is_chart(const Strip& a, const Strip& b) const {
  const Strip& shorter = a.to - a.from <= b.to - b.from ? a : b;
  const Strip& longer = &shorter == &a ? b : a;
  std::size_t rows = shorter.to - shorter.from;
  bool apart = a.right <= b.left || b.right <= a.left;
  bool cells = (a.cells || b.cells) && std::max(a.words, b.words) <= kLongCellWords;
  if (!apart || !cells) return false;
  std::size_t level = 0;
  for (std::size_t i = shorter.from; i < shorter.to; ++i)
    level += level_run(longer, runs_[i]) != kNone ? 1 : 0;
  // Fields of a form stand alone: what is level with one goes with it.
  if (longer.to - longer.from == 1) return level == 1 && std::max(a.words, b.words) <= kCellWords;
  if (longer.to - longer.from < kRowsMin) return false;
  // A column's part of a cell or two goes with a column of cells when all of it stands beside them.
  if (rows < kRowsMin) return level == rows && longer.words <= kCellWords;
  return static_cast<double>(level) >= kLevelShare * static_cast<double>(rows);
}

std::vector<std::size_t> PdfColumns::cells_beside(std::size_t i) const {
  std::vector<std::size_t> cells;
  for (std::size_t mate : strips_[strip_of_run_[i]].mates) {
    std::size_t run = level_run(strips_[mate], runs_[i]);
    if (run != kNone) cells.push_back(run);
  }
  return cells;
}

bool PdfColumns::are_prose(std::size_t i, std::size_t j) const {
  const Strip &a = strips_[strip_of_run_[i]], &b = strips_[strip_of_run_[j]];
  return strip_of_run_[i] != strip_of_run_[j] && a.tight && b.tight &&
         std::min(a.words, b.words) >= kProseWords;
}

}  // namespace bulkhead::extract
