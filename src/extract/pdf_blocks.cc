// The second half of pdf_layout.h: from rows to blocks.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

#include "extract/pdf_layout.h"
#include "extract/pdf_script.h"

namespace bulkhead::extract {

namespace {

constexpr double kHeadingSizes = 1.08;  // of the body's size
constexpr std::size_t kHeadingBytesMax = 160;
constexpr double kParagraphGap = 1.9;  // in font sizes, from line to line
constexpr double kWrappedLine = 1.6;   // closer lines belong together, in line heights
constexpr double kTableRowGap = 3.5;   // a wider gap ends a table, in line heights
constexpr double kSizeMax = 2'000;
constexpr double kAlignedPoints = 2.5;

// The size most of the text is set in.
double body_size(const std::vector<PdfRow>& rows) {
  std::map<int, std::size_t> bytes;
  for (const PdfRow& row : rows) {
    for (const PdfRun& run : row.runs) {
      bytes[static_cast<int>(std::clamp(run.size, 0.0, kSizeMax) * 2)] += run.text.size();
    }
  }
  auto most = std::max_element(bytes.begin(), bytes.end(),
                               [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? 0 : most->first / 2.0;
}

bool is_bullet(std::string_view text) {
  return text == "\u2022" || text == "\u2023" || text == "\u25AA" || text == "\u25CF" || text == "\u2013" ||
         text == "-" || text == "*";
}

// "3.", "12)" or "b)".
bool is_number_mark(std::string_view text) {
  if (text.size() < 2 || text.size() > 3 || (text.back() != '.' && text.back() != ')')) return false;
  text.remove_suffix(1);
  bool digits = std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c); });
  return digits || (text.size() == 1 && std::islower(static_cast<unsigned char>(text[0])));
}

enum class Mark { None, Bullet, Number };

Mark mark_of(std::string_view line) {
  std::string_view first = line.substr(0, line.find(' '));
  return is_bullet(first) ? Mark::Bullet : is_number_mark(first) ? Mark::Number : Mark::None;
}

// One table: its columns stand where the first row's cells do.
class Table {
 public:
  bool is_open() const { return !columns_.empty(); }

  void open(const PdfRow& row) {
    columns_ = row.runs;
    page_ = row.page;
    start_row(row);
  }

  // False when the row is none of this table's.
  bool take(const PdfRow& row) {
    double gap = (row.top() - last_top_) / height_;
    bool same_page = row.page == page_;
    if (!same_page && !is_header_again(row)) return false;
    if (!same_page) {
      page_ = row.page;
      last_top_ = row.top();
      return true;
    }
    if (gap < 0 || gap > kTableRowGap) return false;
    bool tight = gap < kWrappedLine;
    bool in_columns =
        std::all_of(row.runs.begin(), row.runs.end(), [this](const PdfRun& run) { return aligned(run); });
    if (row.runs.size() == 1 && !(tight && in_columns)) return false;
    bool fewer = row.runs.size() < first_line_cells_ || column_of(row.runs[0]) > 0;
    if (tight && fewer) {
      add_cells(row);
    } else {
      start_row(row);
    }
    return true;
  }

  void close(DocumentBuilder& builder) {
    bool has_header = rows_.size() > 1 && is_header();
    for (std::size_t i = has_header ? 1 : 0; i < rows_.size(); ++i) {
      const Row& row = rows_[i];
      if (has_header) {
        builder.add(BlockKind::TableRow, row_text(rows_[0].cells, row.cells), 0, row.page);
      } else if (columns_.size() == 2 && !row.cells[0].empty() && !row.cells[1].empty()) {
        builder.add(BlockKind::TableRow, row.cells[0] + ": " + row.cells[1], 0, row.page);
      } else {
        builder.add(BlockKind::TableRow, row_text({}, row.cells), 0, row.page);
      }
    }
    columns_.clear();
    rows_.clear();
  }

 private:
  struct Row {
    std::vector<std::string> cells, fonts;
    std::uint32_t page = 0;
  };

  static double distance(const PdfRun& column, const PdfRun& run) {
    return std::min({std::abs(column.left - run.left), std::abs(column.right - run.right),
                     std::abs((column.left + column.right) - (run.left + run.right)) / 2});
  }
  bool aligned(const PdfRun& run) const { return distance(columns_[column_of(run)], run) < kAlignedPoints; }

  std::size_t column_of(const PdfRun& run) const {
    std::size_t best = 0;
    for (std::size_t i = 1; i < columns_.size(); ++i) {
      if (distance(columns_[i], run) < distance(columns_[best], run)) best = i;
    }
    return best;
  }

  void start_row(const PdfRow& row) {
    Row next;
    next.cells.resize(columns_.size());
    next.fonts.resize(columns_.size());
    next.page = row.page;
    rows_.push_back(std::move(next));
    first_line_cells_ = row.runs.size();
    add_cells(row);
  }

  void add_cells(const PdfRow& row) {
    for (const PdfRun& run : row.runs) {
      std::size_t column = column_of(run);
      std::string& cell = rows_.back().cells[column];
      if (!cell.empty()) cell += ' ';
      cell += run.text;
      rows_.back().fonts[column] = run.font;
    }
    last_top_ = row.top();
    height_ = std::max(1.0, row.runs[0].height);
  }

  // The first row is in one font throughout, and the next row's last cell in another.
  bool is_header() const {
    const std::vector<std::string>& fonts = rows_[0].fonts;
    bool uniform = !fonts[0].empty() && std::all_of(fonts.begin(), fonts.end(),
                                                    [&](const std::string& f) { return f == fonts[0]; });
    return uniform && rows_[1].fonts.back() != fonts[0];
  }

  bool is_header_again(const PdfRow& row) const {
    std::string header;
    for (const PdfRun& run : columns_) header += (header.empty() ? "" : " ") + run.text;
    return row.text() == header;
  }

  std::vector<PdfRun> columns_;
  std::vector<Row> rows_;
  std::size_t first_line_cells_ = 0;
  std::uint32_t page_ = 0;
  double last_top_ = 0, height_ = 1;
};

class Composer {
 public:
  Composer(DocumentBuilder& builder, double body) : builder_(builder), body_(body) {}

  void add(const PdfRow& row) {
    bool heading = is_heading(row);
    if (table_.is_open()) {
      if (!heading && table_.take(row)) return;
      end_table(row);
    }
    Mark mark = mark_of(row.runs[0].text);
    bool marked = mark == Mark::Bullet || (mark == Mark::Number && row.runs[0].text.size() <= 3);
    bool is_table = row.runs.size() > 1 && !heading && !(marked && row.runs.size() == 2);
    if (is_table) {
      flush();
      table_.open(row);
      return;
    }
    add_line(row, heading, mark);
  }

  void finish() {
    flush();
    table_.close(builder_);
  }

 private:
  bool is_heading(const PdfRow& row) const {
    return row.size() > body_ * kHeadingSizes && row.text().size() < kHeadingBytesMax;
  }

  void end_table(const PdfRow& next) {
    table_.close(builder_);
    page_ = next.page;
    last_top_ = next.top();
    last_size_ = next.size();
    was_heading_ = false;
  }

  void add_line(const PdfRow& row, bool heading, Mark mark) {
    bool same_page = row.page == page_;
    double step = row.top() - last_top_, size = row.size();
    bool same_heading =
        heading && was_heading_ && same_page && std::abs(size - last_size_) < 0.1 && step < size * 1.6;
    bool apart = same_page && (step > size * kParagraphGap || step < 0);
    bool item = !heading && (mark == Mark::Bullet || (mark == Mark::Number && (apart || starts_item())));
    if ((heading && !same_heading) || (was_heading_ && !heading) || item || apart || size < last_size_ * 0.85)
      flush();
    if (text_.empty()) first_page_ = row.page;
    is_item_ = is_item_ || item;
    level_ = !heading ? 0 : size > body_ * 1.6 ? 1 : size > body_ * 1.25 ? 2 : 3;
    std::string text = row.text();
    append(item && mark == Mark::Bullet ? text.substr(std::min(text.size(), text.find(' '))) : text);
    was_heading_ = heading;
    page_ = row.page;
    last_top_ = row.top();
    last_size_ = size;
  }

  // A number at the start of a line begins an item unless it is in the midst of a sentence.
  bool starts_item() const {
    return text_.empty() || was_heading_ ||
           std::string_view(".?!:;").find(text_.back()) != std::string_view::npos;
  }

  // A word broken at the line's end is put together again.
  void append(const std::string& text) {
    if (is_cut_word(text_, text)) {
      // The hyphen is a character of one to three bytes.
      while ((static_cast<unsigned char>(text_.back()) & 0xC0) == 0x80) text_.pop_back();
      text_.pop_back();
    } else if (!text_.empty() && !joins_without_space(text_, text)) {
      text_ += ' ';
    }
    text_ += text;
  }

  void flush() {
    BlockKind kind = level_ > 0 ? BlockKind::Heading : is_item_ ? BlockKind::ListItem : BlockKind::Paragraph;
    builder_.add(kind, text_, level_, first_page_);
    text_.clear();
    is_item_ = false;
    level_ = 0;
  }

  DocumentBuilder& builder_;
  Table table_;
  double body_;
  std::string text_;
  std::uint32_t page_ = 0, first_page_ = 0;
  double last_top_ = 0, last_size_ = 0;
  bool was_heading_ = false, is_item_ = false;
  int level_ = 0;
};

}  // namespace

void compose_blocks(const std::vector<PdfRow>& rows, DocumentBuilder& builder) {
  Composer composer(builder, body_size(rows));
  for (const PdfRow& row : rows) composer.add(row);
  composer.finish();
}

}  // namespace bulkhead::extract
