// The second half of pdf_layout.h: from rows to blocks.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

#include "extract/pdf_layout.h"
#include "extract/pdf_script.h"
#include "extract/pdf_table.h"

namespace bulkhead::extract {

namespace {

constexpr double kParagraphGap = 1.9;  // in font sizes, from line to line
constexpr double kSizeMax = 2'000;

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

class Composer {
 public:
  Composer(DocumentBuilder& builder, double body) : builder_(builder), body_(body) {}

  void add_all(const std::vector<PdfRow>& rows) {
    for (std::size_t i = 0; i < rows.size();) {
      std::size_t end = starts_with_number(rows[i]) ? i : table_end(rows, i, body_);
      if (end > i) {
        flush();
        compose_table(rows, i, end, builder_);
        after(rows[end - 1]);
        i = end;
        continue;
      }
      add_line(rows[i], is_heading_row(rows[i], body_), mark_of(rows[i].runs[0].text));
      ++i;
    }
    flush();
  }

 private:
  // A numbered item, of which the number stands by itself.
  static bool starts_with_number(const PdfRow& row) {
    return row.runs.size() == 2 && row.runs[0].text.size() <= 3 && mark_of(row.runs[0].text) == Mark::Number;
  }

  void after(const PdfRow& row) {
    page_ = row.page;
    rotation_ = row.rotation;
    last_top_ = row.top();
    last_size_ = row.size();
    was_heading_ = false;
  }

  void add_line(const PdfRow& row, bool heading, Mark mark) {
    bool same_page = row.page == page_ && row.rotation == rotation_;
    double step = row.top() - last_top_, size = row.size();
    bool same_heading =
        heading && was_heading_ && same_page && std::abs(size - last_size_) < 0.1 && step < size * 1.6;
    bool apart = row.rotation != rotation_ || (same_page && (step > size * kParagraphGap || step < 0));
    bool item = !heading && (mark == Mark::Bullet || (mark == Mark::Number && (apart || starts_item())));
    if ((heading && !same_heading) || (was_heading_ && !heading) || item || apart || size < last_size_ * 0.85)
      flush();
    if (text_.empty()) first_page_ = row.page;
    is_item_ = is_item_ || item;
    level_ = !heading ? 0 : size > body_ * 1.6 ? 1 : size > body_ * 1.25 ? 2 : 3;
    std::string text = row.text();
    append(item && mark == Mark::Bullet ? text.substr(std::min(text.size(), text.find(' '))) : text);
    after(row);
    was_heading_ = heading;
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
  double body_;
  std::string text_;
  std::uint32_t page_ = 0, first_page_ = 0;
  int rotation_ = 0;
  double last_top_ = 0, last_size_ = 0;
  bool was_heading_ = false, is_item_ = false;
  int level_ = 0;
};

}  // namespace

void compose_blocks(const std::vector<PdfRow>& rows, DocumentBuilder& builder) {
  Composer(builder, body_size(rows)).add_all(rows);
}

}  // namespace bulkhead::extract
