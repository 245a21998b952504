#include "extract/pdf_table.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "extract/pdf_script.h"

namespace bulkhead::extract {

namespace {

constexpr double kHeadingSizes = 1.08;  // of the body's size
constexpr std::size_t kHeadingBytesMax = 160;
constexpr double kAlignedPoints = 2.5;
constexpr double kWrappedLine = 1.6;  // closer lines may be one row, in line heights
constexpr double kNearRow = 3.5;      // up to here a line needs no second cell in a column, in line heights
constexpr double kRowStep = 0.9;      // of the distance of rows; closer lines are one row
constexpr double kMarginGap = 3;      // in font sizes; edges alone align in every justified text
constexpr std::size_t kLookAhead = 4;

double height_of(const PdfRow& row) { return std::max(1.0, row.runs[0].height); }

double distance(const PdfRun& a, const PdfRun& b) {
  return std::min({std::abs(a.left - b.left), std::abs(a.right - b.right),
                   std::abs((a.left + a.right) - (b.left + b.right)) / 2});
}

std::size_t column_of(const std::vector<PdfRun>& columns, const PdfRun& run) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < columns.size(); ++i) {
    if (distance(columns[i], run) < distance(columns[best], run)) best = i;
  }
  return best;
}

bool is_aligned(const std::vector<PdfRun>& columns, const PdfRun& run) {
  return distance(columns[column_of(columns, run)], run) < kAlignedPoints;
}

std::size_t aligned_cells(const std::vector<PdfRun>& columns, const PdfRow& row) {
  return static_cast<std::size_t>(std::count_if(row.runs.begin(), row.runs.end(),
                                                [&](const PdfRun& run) { return is_aligned(columns, run); }));
}

double widest_gap(const PdfRow& row) {
  double widest = 0;
  for (std::size_t i = 1; i < row.runs.size(); ++i)
    widest = std::max(widest, row.runs[i].left - row.runs[i - 1].right);
  return widest;
}

// Two cells or more stand below each other, and not at the margins of a justified text only.
bool share_columns(const PdfRow& a, const PdfRow& b) {
  if (a.runs.size() < 2 || b.runs.size() < 2 || aligned_cells(a.runs, b) < 2) return false;
  for (std::size_t i = 0; i < a.runs.size(); ++i) {
    for (std::size_t j = 0; j < b.runs.size(); ++j) {
      bool left = i > 0 && j > 0 && std::abs(a.runs[i].left - b.runs[j].left) < kAlignedPoints;
      bool right = i + 1 < a.runs.size() && j + 1 < b.runs.size() &&
                   std::abs(a.runs[i].right - b.runs[j].right) < kAlignedPoints;
      if (left || right) return true;
    }
  }
  return std::min(widest_gap(a), widest_gap(b)) > kMarginGap * std::max(a.size(), b.size());
}

bool same_page(const PdfRow& a, const PdfRow& b) { return a.page == b.page && a.rotation == b.rotation; }

// A single cell that ends before the next column begins.
bool stays_in_column(const std::vector<PdfRun>& columns, const PdfRun& run) {
  std::size_t column = column_of(columns, run);
  bool before_next = column + 1 >= columns.size() || run.right < columns[column + 1].left;
  return is_aligned(columns, run) && before_next;
}

bool same_texts(const PdfRow& a, const PdfRow& b) { return a.text() == b.text(); }

bool begins_lower(const PdfRun& run) {
  return !run.text.empty() && std::islower(static_cast<unsigned char>(run.text[0])) != 0;
}

bool is_mark(const std::string& text) {
  return text == "-" || text == "*" || text == "\u2022" || text == "\u2013" || text == "\u25CF" ||
         text == "\u25AA" || text == "\u2023";
}

// Whether rows[i] goes on with the table of `columns`, of which rows[i - 1] is a line.
bool continues(const std::vector<PdfRow>& rows, std::size_t i, std::size_t first,
               const std::vector<PdfRun>& columns) {
  const PdfRow &row = rows[i], &above = rows[i - 1];
  if (!same_page(row, above)) {
    bool header_again = row.rotation == above.rotation && same_texts(row, rows[first]);
    bool whole = row.runs.size() == columns.size() && aligned_cells(columns, row) == columns.size();
    return header_again || (row.rotation == above.rotation && whole && columns.size() > 2);
  }
  double step = (row.top() - above.top()) / height_of(above);
  if (step < 0) return false;
  std::size_t aligned = aligned_cells(columns, row);
  if (row.runs.size() > 1) return aligned >= 2 || step <= kNearRow;
  if (step < kWrappedLine) return aligned == 1;
  // A row of which all cells but one are empty has rows of its table below.
  if (!stays_in_column(columns, row.runs[0])) return false;
  bool more = i + 1 < rows.size() && same_page(row, rows[i + 1]) && rows[i + 1].runs.size() > 1 &&
              aligned_cells(columns, rows[i + 1]) >= 2;
  double next = more ? rows[i + 1].top() - row.top() : 0;
  double here = row.top() - above.top();
  return more && next > 0 && std::max(here, next) < 1.3 * std::min(here, next);
}

struct Row {
  std::vector<std::string> cells, fonts;
  std::uint32_t page = 0;
  bool to_the_left = false;
};

class Table {
 public:
  Table(const std::vector<PdfRow>& rows, std::size_t from, std::size_t to) {
    columns_ = rows[from].runs;
    for (std::size_t i = from; i < to; ++i) {
      if (rows[i].runs.size() > columns_.size()) columns_ = rows[i].runs;
    }
    double usual = row_step(rows, from, to);
    for (std::size_t i = from; i < to; ++i) {
      bool again = i > from && !same_page(rows[i], rows[i - 1]) && same_texts(rows[i], rows[from]);
      if (again) continue;
      if (i == from || starts_row(rows[i - 1], rows[i], usual)) start_row(rows[i]);
      add_cells(rows[i]);
    }
  }

  void write(DocumentBuilder& builder) {
    bool has_header = rows_.size() > 1 && is_header();
    for (std::size_t i = has_header ? 1 : 0; i < rows_.size(); ++i) {
      Row& row = rows_[i];
      std::vector<std::string> names = has_header ? rows_[0].cells : std::vector<std::string>();
      if (row.to_the_left) {
        std::reverse(names.begin(), names.end());
        std::reverse(row.cells.begin(), row.cells.end());
      }
      bool named = !has_header && columns_.size() == 2 && !row.cells[0].empty() && !row.cells[1].empty();
      std::string colon = row.cells[0].ends_with(':') ? " " : ": ";
      std::string text = named        ? row.cells[0] + colon + row.cells[1]
                         : has_header ? row_text(names, row.cells)
                                      : plain_row(row.cells);
      builder.add(BlockKind::TableRow, text, 0, row.page);
    }
  }

 private:
  // "Dose: 5 mg; Route: oral": a cell that ends so names the next one.
  static std::string plain_row(const std::vector<std::string>& cells) {
    std::string out;
    for (const std::string& cell : cells) {
      if (!out.empty() && !cell.empty()) out += out.ends_with(':') ? " " : "; ";
      out += cell;
    }
    return out;
  }

  // The least distance of a line with a first cell and others from the line above it.
  double row_step(const std::vector<PdfRow>& rows, std::size_t from, std::size_t to) const {
    double least = HUGE_VAL;
    for (std::size_t i = from + 1; i < to; ++i) {
      bool full = rows[i].runs.size() == columns_.size();
      if (full && same_page(rows[i], rows[i - 1])) least = std::min(least, rows[i].top() - rows[i - 1].top());
    }
    return least;
  }

  bool starts_row(const PdfRow& above, const PdfRow& row, double usual) const {
    if (!same_page(above, row)) return true;
    double step = row.top() - above.top();
    bool has_first = column_of(columns_, row.runs[0]) == 0;
    if (step >= kWrappedLine * height_of(above)) return true;
    if (has_first && row.runs.size() >= first_line_cells_) return true;
    // A line as far away as full rows are is a row with empty cells, unless its text goes on.
    bool as_rows = step >= kRowStep * usual && !begins_lower(row.runs[0]);
    if (has_first) return as_rows;
    return as_rows && row.runs.size() > 1 && row.runs.size() + 1 == columns_.size();
  }

  void start_row(const PdfRow& row) {
    Row next;
    next.cells.resize(columns_.size());
    next.fonts.resize(columns_.size());
    next.page = row.page;
    rows_.push_back(std::move(next));
    first_line_cells_ = row.runs.size();
  }

  void add_cells(const PdfRow& row) {
    for (const PdfRun& run : row.runs) {
      std::size_t column = column_of(columns_, run);
      std::string& cell = rows_.back().cells[column];
      if (!cell.empty() && !joins_without_space(cell, run.text)) cell += ' ';
      cell += run.text;
      rows_.back().fonts[column] = run.font;
      rows_.back().to_the_left = rows_.back().to_the_left || has_right_to_left(run.text);
    }
  }

  // The first row is in one font throughout, and the next row's last cell in another.
  bool is_header() const {
    std::string font;
    for (const std::string& of_cell : rows_[0].fonts) {
      if (of_cell.empty()) continue;
      if (!font.empty() && of_cell != font) return false;
      font = of_cell;
    }
    auto filled = std::find_if(rows_[1].fonts.rbegin(), rows_[1].fonts.rend(),
                               [](const std::string& of_cell) { return !of_cell.empty(); });
    return !font.empty() && filled != rows_[1].fonts.rend() && *filled != font;
  }

  std::vector<PdfRun> columns_;
  std::vector<Row> rows_;
  std::size_t first_line_cells_ = 0;
};

}  // namespace

bool is_heading_row(const PdfRow& row, double body) {
  return row.size() > body * kHeadingSizes && row.text().size() < kHeadingBytesMax;
}

std::size_t table_end(const std::vector<PdfRow>& rows, std::size_t at, double body) {
  const PdfRow& first = rows[at];
  bool is_item = first.runs.size() == 2 && is_mark(first.runs[0].text);
  if (first.runs.size() < 2 || is_item || is_heading_row(first, body)) return at;
  bool confirmed = false;
  for (std::size_t i = at + 1; i < std::min(rows.size(), at + kLookAhead) && !confirmed; ++i) {
    if (!same_page(rows[i], first) || is_heading_row(rows[i], body)) break;
    confirmed = share_columns(first, rows[i]);
    bool wrapped = rows[i].runs.size() == 1 && is_aligned(first.runs, rows[i].runs[0]);
    if (!wrapped) break;
  }
  if (!confirmed) return at;
  std::vector<PdfRun> columns = first.runs;
  std::size_t end = at + 1;
  while (end < rows.size() && !is_heading_row(rows[end], body) && continues(rows, end, at, columns)) {
    if (rows[end].runs.size() > columns.size()) columns = rows[end].runs;
    ++end;
  }
  return end;
}

void compose_table(const std::vector<PdfRow>& rows, std::size_t from, std::size_t to,
                   DocumentBuilder& builder) {
  Table(rows, from, to).write(builder);
}

}  // namespace bulkhead::extract
