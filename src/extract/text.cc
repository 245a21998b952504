// Plain text: UTF-8, UTF-16 with a byte order mark, else Windows-1252.
#include <algorithm>
#include <array>
#include <vector>

#include "extract/document.h"

namespace bulkhead::extract {

using base::Result;

namespace {

constexpr std::size_t kHeadingBytesMax = 100;

std::string from_utf16(std::string_view bytes, bool big_endian) {
  std::string out;
  auto unit = [&](std::size_t i) {
    auto a = static_cast<unsigned char>(bytes[i]);
    auto b = static_cast<unsigned char>(bytes[i + 1]);
    return static_cast<std::uint32_t>(big_endian ? a << 8 | b : b << 8 | a);
  };
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
    std::uint32_t c = unit(i);
    bool pair = c >= 0xD800 && c < 0xDC00 && i + 3 < bytes.size();
    if (pair) {
      std::uint32_t low = unit(i + 2);
      if (low >= 0xDC00 && low < 0xE000) {
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        i += 2;
      }
    }
    append_utf8(out, c);
  }
  return out;
}

// 0x80 to 0x9F of Windows-1252; the rest is Latin-1.
constexpr std::array<std::uint16_t, 32> kWindows1252 = {
    0x20AC, 0xFFFD, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0xFFFD, 0x017D, 0xFFFD, 0xFFFD, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0xFFFD, 0x017E, 0x0178};

std::string from_windows1252(std::string_view bytes) {
  std::string out;
  for (char byte : bytes) {
    auto c = static_cast<unsigned char>(byte);
    append_utf8(out, c >= 0x80 && c < 0xA0 ? kWindows1252[c - 0x80] : c);
  }
  return out;
}

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

}  // namespace

std::string to_utf8(std::string_view bytes) {
  if (bytes.starts_with("\xEF\xBB\xBF")) return std::string(bytes.substr(3));
  if (bytes.starts_with("\xFF\xFE")) return from_utf16(bytes.substr(2), false);
  if (bytes.starts_with("\xFE\xFF")) return from_utf16(bytes.substr(2), true);
  bool valid = clean_text(bytes, true).find("\uFFFD") == std::string::npos ||
               bytes.find("\uFFFD") != std::string_view::npos;
  return valid ? std::string(bytes) : from_windows1252(bytes);
}

namespace {

// "Own car      59p a mile": columns set apart by spaces or tabs, each line a row of its own.
std::vector<std::string> columns_of(std::string_view line) {
  std::vector<std::string> cells;
  while (!line.empty()) {
    std::size_t gap = std::min(line.find("  "), line.find('\t'));
    cells.emplace_back(trimmed(line.substr(0, gap)));
    line = gap == std::string_view::npos ? std::string_view() : trimmed(line.substr(gap));
  }
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

  void add_line(std::string_view raw) {
    std::string_view line = trimmed(raw);
    if (line.empty()) return end_table(), flush(0);
    if (is_rule(line)) return end_table(), flush(line[0] == '=' ? 1 : kHeadingLevel);
    std::size_t indent = raw.find_first_not_of(" \t");
    std::vector<std::string> cells =
        is_list_item(line) || list_ ? std::vector<std::string>() : columns_of(line);
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
  while (!content.empty()) {
    std::size_t end = content.find('\n');
    reader.add_line(content.substr(0, end));
    content = end == std::string_view::npos ? std::string_view() : content.substr(end + 1);
  }
  return reader.take();
}

}  // namespace bulkhead::extract
