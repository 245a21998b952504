// Plain text: headings, lists, paragraphs and columns, told by lines and their white space.
#include <algorithm>
#include <vector>

#include "extract/document.h"

namespace bulkhead::extract {

using base::Result;

namespace {

constexpr std::size_t kHeadingBytesMax = 100;

std::string_view trimmed(std::string_view line) {
  while (!line.empty() && static_cast<unsigned char>(line.back()) <= 0x20) line.remove_suffix(1);
  while (!line.empty() && static_cast<unsigned char>(line.front()) <= 0x20) line.remove_prefix(1);
  return line;
}

bool is_rule(std::string_view line) {
  return line.size() >= 3 && line.find_first_not_of("=-_*~#") == std::string_view::npos;
}

// Short, begins a section, no sentence end: "3. On-call rota", "ESCALATION".
bool looks_like_heading(std::string_view line) {
  if (line.empty() || line.size() > kHeadingBytesMax) return false;
  char last = line.back();
  if (last == '.' || last == ',' || last == ';') return false;
  bool upper = false, lower = false;
  for (char c : line) {
    upper = upper || (c >= 'A' && c <= 'Z');
    lower = lower || (c >= 'a' && c <= 'z');
  }
  if (upper && !lower) return true;
  bool numbered = line[0] >= '0' && line[0] <= '9' && line.find_first_of(".)") < 4 && line.find(' ') < 6;
  return numbered && line.size() < 70;
}

bool is_list_item(std::string_view line) {
  return line.starts_with("- ") || line.starts_with("* ") || line.starts_with("\u2022 ");
}

// White space inside a line that may part two columns.
struct Gap {
  std::size_t begin = 0, end = 0;
  bool tab = false, after_sentence = false;
  std::size_t width() const { return end - begin; }
};

std::vector<Gap> gaps_of(std::string_view line) {
  std::vector<Gap> gaps;
  std::size_t last = line.find_last_not_of(" \t\r\f");
  std::size_t at = line.find_first_not_of(" \t");
  while (last != std::string_view::npos && at < last) {
    Gap gap;
    gap.begin = line.find_first_of(" \t", at);
    if (gap.begin == std::string_view::npos || gap.begin > last) break;
    gap.end = line.find_first_not_of(" \t", gap.begin);
    gap.tab = line.substr(gap.begin, gap.width()).find('\t') != std::string_view::npos;
    gap.after_sentence = std::string_view(".!?:;,").find(line[gap.begin - 1]) != std::string_view::npos;
    if (gap.tab || gap.width() > 1) gaps.push_back(gap);
    at = gap.end;
  }
  return gaps;
}

// A wide gap parts columns wherever it stands. A narrow one, or one after a sentence, does only where a line
// beside it has a column at the same place: typists set two spaces after a full stop, and justified lines
// have them anywhere.
bool parts_columns(const Gap& gap, std::string_view before, std::string_view after) {
  if (gap.tab || (gap.width() > 2 && !gap.after_sentence)) return true;
  if (gap.width() == 2 && gap.after_sentence) return false;
  for (std::string_view other : {before, after}) {
    for (const Gap& beside : gaps_of(other)) {
      if (beside.end == gap.end) return true;
    }
  }
  return false;
}

// "Own car      59p a mile": columns set apart by spaces or tabs, each line a row of its own.
std::vector<std::string> columns_of(std::string_view line, std::string_view before, std::string_view after) {
  std::vector<std::string> cells;
  std::size_t from = 0;
  for (const Gap& gap : gaps_of(line)) {
    if (!parts_columns(gap, before, after)) continue;
    cells.emplace_back(trimmed(line.substr(from, gap.begin - from)));
    from = gap.end;
  }
  cells.emplace_back(trimmed(line.substr(from)));
  return cells;
}

// "3.1", which sections have and rows of tables don't.
bool is_section_number(std::string_view cell) {
  return cell.find('.') != std::string_view::npos &&
         cell.find_first_not_of("0123456789.") == std::string_view::npos;
}

class Reader {
 public:
  explicit Reader(const Limits& limits) : builder_("text", limits) {}

  // `before` and `after` are the lines around it.
  void add_line(std::string_view raw, std::string_view before, std::string_view after) {
    std::string_view line = trimmed(raw);
    if (line.empty()) return end_table(), flush(0);
    if (is_rule(line)) return end_table(), flush(line[0] == '=' ? 1 : kHeadingLevel);
    std::size_t indent = raw.find_first_not_of(" \t");
    std::vector<std::string> cells =
        is_list_item(line) || list_ ? std::vector<std::string>() : columns_of(raw, before, after);
    bool is_row = cells.size() > 1 && !(cells.size() == 2 && is_section_number(cells[0]));
    if (is_row) return add_row(std::move(cells), indent);
    if (!row_.empty()) return continue_row(line, indent);
    if (is_list_item(line)) {
      flush(0);
      list_ = true;
      line = trimmed(line.substr(line.find(' ')));
    } else if (lines_ == 1 && !list_ && looks_like_heading(paragraph_)) {
      flush(0);
    }
    if (!paragraph_.empty()) paragraph_ += ' ';
    paragraph_ += line;
    ++lines_;
  }

  Result<Document> take() {
    end_table();
    flush(0);
    return builder_.take();
  }

 private:
  static constexpr int kHeadingLevel = 2;
  static constexpr std::size_t kWrappedCellBytes = 16;

  void add_row(std::vector<std::string> cells, std::size_t indent) {
    flush(0);
    // A first row that lacks one cell names the columns beside a column of names.
    if (rows_ == 1 && cells.size() == row_.size() + 1) {
      header_ = std::move(row_);
      header_.insert(header_.begin(), "");
    } else {
      end_row();
    }
    row_ = std::move(cells);
    row_indent_ = indent;
    ++rows_;
  }

  // A line of one column below a row: the rest of a wrapped cell, or a row whose columns touch.
  void continue_row(std::string_view line, std::size_t indent) {
    std::string rest = " " + std::string(line);
    if (indent > row_indent_ + 2) {
      row_.back() += rest;
    } else if (line.size() < kWrappedCellBytes) {
      row_.front() += rest;
    } else {
      add_row({std::string(line)}, indent);
    }
  }

  void end_row() {
    builder_.add(BlockKind::TableRow, row_text(header_, row_));
    row_.clear();
  }

  void end_table() {
    end_row();
    header_.clear();
    rows_ = 0;
  }

  // `underlined` is the level that a rule below gives, 0 without a rule.
  void flush(int underlined) {
    bool heading = lines_ == 1 && !list_ && (underlined > 0 || looks_like_heading(paragraph_));
    if (heading) {
      builder_.add(BlockKind::Heading, paragraph_,
                   is_first_        ? 1
                   : underlined > 0 ? underlined
                                    : kHeadingLevel);
    } else {
      builder_.add(list_ ? BlockKind::ListItem : BlockKind::Paragraph, paragraph_);
    }
    is_first_ = is_first_ && paragraph_.empty();
    paragraph_.clear();
    lines_ = 0;
    list_ = false;
  }

  DocumentBuilder builder_;
  std::string paragraph_;
  std::size_t lines_ = 0;
  std::vector<std::string> header_, row_;  // of the open table
  std::size_t rows_ = 0, row_indent_ = 0;
  bool list_ = false, is_first_ = true;
};

}  // namespace

Result<Document> extract_text(std::string_view content, const Limits& limits) {
  Reader reader(limits);
  std::string_view before, line, after;
  auto next = [&content] {
    std::size_t end = content.find('\n');
    std::string_view taken = content.substr(0, end);
    content = end == std::string_view::npos ? std::string_view() : content.substr(end + 1);
    return taken;
  };
  for (line = next(); !line.empty() || !content.empty(); before = line, line = after) {
    after = next();
    reader.add_line(line, before, after);
    if (after.empty() && content.empty()) break;
  }
  return reader.take();
}

}  // namespace bulkhead::extract
