// PDF by poppler: the pages' words in reading order with their font sizes, so that headings are found
// by size, table-like lines stay lines, and lines that repeat on every page are dropped.
#include <poppler-document.h>
#include <poppler-global.h>
#include <poppler-page.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <set>

#include "extract/document.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr int kPagesMax = 5'000;

struct Line {
  std::string text;
  double top = 0, left = 0, size = 0;
  std::uint32_t page = 0;
};

std::string utf8(const poppler::ustring& text) {
  poppler::byte_array bytes = text.to_utf8();
  return std::string(bytes.begin(), bytes.end());
}

void silence(const std::string&, void*) {}

// Words of one page joined into lines by their height.
std::vector<Line> lines_of(poppler::page& page, std::uint32_t number) {
  std::vector<Line> lines;
  for (const poppler::text_box& box : page.text_list(poppler::page::text_list_include_font)) {
    std::string word = utf8(box.text());
    poppler::rectf area = box.bbox();
    double size = box.has_font_info() ? box.get_font_size() : area.height();
    bool same = !lines.empty() && std::abs(lines.back().top - area.y()) < area.height() * 0.5 &&
                area.x() >= lines.back().left;
    if (same) {
      lines.back().text += ' ' + word;
      lines.back().size = std::max(lines.back().size, size);
    } else {
      lines.push_back({word, area.y(), area.x(), size, number});
    }
  }
  return lines;
}

std::string without_digits(std::string text) {
  std::erase_if(text, [](char c) { return c >= '0' && c <= '9'; });
  return text;
}

// The size most of the text is set in.
double body_size(const std::vector<Line>& lines) {
  std::map<int, std::size_t> bytes;
  for (const Line& line : lines) bytes[static_cast<int>(line.size * 2)] += line.text.size();
  auto most = std::max_element(bytes.begin(), bytes.end(),
                               [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? 0 : most->first / 2.0;
}

// Running headers and footers: first or last lines that stand on at least two pages.
std::set<std::string> furniture(const std::vector<Line>& lines, std::uint32_t pages) {
  std::set<std::string> repeated;
  if (pages < 2) return repeated;
  std::map<std::string, std::set<std::uint32_t>> seen;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    bool first = i == 0 || lines[i - 1].page != lines[i].page;
    bool last = i + 1 == lines.size() || lines[i + 1].page != lines[i].page;
    if (first || last) seen[without_digits(lines[i].text)].insert(lines[i].page);
  }
  for (const auto& [text, on] : seen) {
    if (on.size() >= 2) repeated.insert(text);
  }
  return repeated;
}

constexpr const char* kBaseFonts[] = {
    "Helvetica", "Helvetica-Bold", "Helvetica-Oblique", "Helvetica-BoldOblique", "Times-Roman",
    "Times-Bold", "Times-Italic", "Times-BoldItalic", "Courier", "Courier-Bold", "Courier-Oblique",
    "Courier-BoldOblique", "Symbol", "ZapfDingbats", "Arial", "TimesNewRoman"};

// A correct PDF (ISO 32000-1, 7.5) of one page with a word in each base font.
std::string warm_up_document() {
  std::string fonts, words = "BT 20 700 Td 14 TL ";
  std::vector<std::string> objects(4);
  for (const char* name : kBaseFonts) {
    std::string id = "F" + std::to_string(objects.size());
    fonts += "/" + id + " " + std::to_string(objects.size() + 1) + " 0 R ";
    words += "/" + id + " 12 Tf (word) Tj T* ";
    objects.push_back(std::string("<</Type/Font/Subtype/Type1/BaseFont/") + name + "/Encoding/WinAnsiEncoding>>");
  }
  words += "ET";
  objects[0] = "<</Type/Catalog/Pages 2 0 R>>";
  objects[1] = "<</Type/Pages/Kids[3 0 R]/Count 1>>";
  objects[2] = "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<<" + fonts + ">>>>>>";
  objects[3] = "<</Length " + std::to_string(words.size()) + ">>stream\n" + words + "\nendstream";
  std::string out = "%PDF-1.4\n";
  std::string table = "xref\n0 " + std::to_string(objects.size() + 1) + "\n0000000000 65535 f \n";
  for (std::size_t i = 0; i < objects.size(); ++i) {
    std::string offset = std::to_string(out.size());
    table += std::string(10 - offset.size(), '0') + offset + " 00000 n \n";
    out += std::to_string(i + 1) + " 0 obj\n" + objects[i] + "\nendobj\n";
  }
  std::size_t table_at = out.size();
  out += table + "trailer<</Size " + std::to_string(objects.size() + 1) + "/Root 1 0 R>>\nstartxref\n" +
         std::to_string(table_at) + "\n%%EOF\n";
  return out;
}

class Composer {
 public:
  Composer(const Limits& limits, double body) : builder_("pdf", limits), body_(body) {}

  void add(const Line& line) {
    bool heading = line.size > body_ * 1.08 && line.text.size() < 160;
    bool item = line.text.starts_with("\u2022") || line.text.starts_with("- ") || line.text.starts_with("\u2013 ");
    bool gap = line.page == page_ && line.top - last_top_ > line.size * 1.9;
    bool same_heading = heading && was_heading_ && line.page == page_ && std::abs(line.size - last_size_) < 0.1 &&
                        line.top - last_top_ < line.size * 1.6;
    bool new_paragraph = (heading && !same_heading) || (was_heading_ && !heading) || item || gap || line.size < last_size_ * 0.85;
    if (new_paragraph) flush();
    if (text_.empty()) first_page_ = line.page;
    was_heading_ = heading;
    is_item_ = is_item_ || item;
    level_ = heading ? (line.size > body_ * 1.6 ? 1 : line.size > body_ * 1.25 ? 2 : 3) : 0;
    append(line.text);
    page_ = line.page;
    last_top_ = line.top;
    last_size_ = line.size;
  }

  void set_title(std::string_view title) { builder_.set_title(title); }

  Result<Document> take() {
    flush();
    return builder_.take();
  }

 private:
  // A word broken at the line's end is put together again.
  void append(const std::string& text) {
    bool broken = text_.size() > 2 && text_.back() == '-' && std::isalpha(static_cast<unsigned char>(text_[text_.size() - 2])) &&
                  !text.empty() && std::islower(static_cast<unsigned char>(text[0]));
    if (broken) {
      text_.pop_back();
    } else if (!text_.empty()) {
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

  DocumentBuilder builder_;
  double body_;
  std::string text_;
  std::uint32_t page_ = 0, first_page_ = 0;
  double last_top_ = 0, last_size_ = 0;
  bool was_heading_ = false, is_item_ = false;
  int level_ = 0;
};

}  // namespace

void prepare_pdf() {
  poppler::set_debug_error_function(&silence, nullptr);
  // A page of our own in the fonts that a PDF may use without bringing them: poppler and fontconfig
  // read their tables for it now, while files can still be opened.
  std::string page = warm_up_document();
  std::unique_ptr<poppler::document> document(
      poppler::document::load_from_raw_data(page.data(), static_cast<int>(page.size())));
  if (!document) return;
  std::unique_ptr<poppler::page> first(document->create_page(0));
  if (first) static_cast<void>(first->text_list(poppler::page::text_list_include_font).size());
}

Result<Document> extract_pdf(std::string_view bytes, const Limits& limits) {
  std::unique_ptr<poppler::document> document(
      poppler::document::load_from_raw_data(bytes.data(), static_cast<int>(bytes.size())));
  if (!document) return Error(ExtractionError::Invalid, "The PDF is damaged.");
  if (document->is_locked()) {
    return Error(ExtractionError::Encrypted, "The PDF is protected by a password. Remove it first.");
  }
  int pages = document->pages();
  if (pages > kPagesMax) return Error(ExtractionError::TooLarge, "The PDF has more pages than are taken. Split it.");
  std::vector<Line> lines;
  std::size_t text_bytes = 0;
  for (int i = 0; i < pages && text_bytes <= limits.text_bytes_max; ++i) {
    std::unique_ptr<poppler::page> page(document->create_page(i));
    if (!page) continue;
    for (Line& line : lines_of(*page, static_cast<std::uint32_t>(i + 1))) {
      text_bytes += line.text.size();
      lines.push_back(std::move(line));
    }
  }
  if (lines.empty()) {
    return Error(ExtractionError::Invalid, "The PDF holds no text (scanned pages?). Run text recognition first.");
  }
  std::set<std::string> repeated = furniture(lines, static_cast<std::uint32_t>(pages));
  Composer composer(limits, body_size(lines));
  composer.set_title(utf8(document->get_title()));
  for (const Line& line : lines) {
    if (!repeated.contains(without_digits(line.text))) composer.add(line);
  }
  return composer.take();
}

}  // namespace bulkhead::extract
