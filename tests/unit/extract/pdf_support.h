// Small PDFs made in memory (ISO 32000-1), for tests.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace bulkhead::extract {

// A PDF under construction. Fonts: /F Helvetica, /B Helvetica-Bold, and what `font` adds.
class PdfFile {
 public:
  PdfFile& font(const std::string& name, const std::string& object) {
    fonts_ += "/" + name + " " + std::to_string(add(object)) + " 0 R";
    return *this;
  }
  PdfFile& resources(const std::string& entries) {
    resources_ += entries;
    return *this;
  }
  PdfFile& catalog(const std::string& entries) {
    catalog_ += entries;
    return *this;
  }
  PdfFile& page(const std::string& content, const std::string& entries = "") {
    pages_.emplace_back(content, entries);
    return *this;
  }
  // The number of the added object.
  std::size_t add(const std::string& object) {
    more_.push_back(object);
    return kFirstOwn + more_.size() - 1;
  }
  static std::string stream(const std::string& content, const std::string& entries = "") {
    return "<<" + entries + "/Length " + std::to_string(content.size()) + ">>stream\n" + content +
           "\nendstream";
  }

  std::string bytes() const {
    std::vector<std::string> objects = {
        "<</Type/Catalog/Pages 2 0 R" + catalog_ + ">>", "",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica-Bold/Encoding/WinAnsiEncoding>>"};
    objects.insert(objects.end(), more_.begin(), more_.end());
    std::string kids;
    for (const auto& [content, entries] : pages_) {
      objects.push_back(stream(content));
      objects.push_back("<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents " +
                        std::to_string(objects.size()) + " 0 R/Resources<</Font<</F 3 0 R/B 4 0 R" + fonts_ +
                        ">>" + resources_ + ">>" + entries + ">>");
      kids += std::to_string(objects.size()) + " 0 R ";
    }
    objects[1] = "<</Type/Pages/Kids[" + kids + "]/Count " + std::to_string(pages_.size()) + ">>";
    std::string out = "%PDF-1.7\n";
    std::string table = "xref\n0 " + std::to_string(objects.size() + 1) + "\n0000000000 65535 f \n";
    for (std::size_t i = 0; i < objects.size(); ++i) {
      std::string offset = std::to_string(out.size());
      table += std::string(10 - offset.size(), '0') + offset + " 00000 n \n";
      out += std::to_string(i + 1) + " 0 obj\n" + objects[i] + "\nendobj\n";
    }
    std::size_t table_at = out.size();
    return out + table + "trailer<</Size " + std::to_string(objects.size() + 1) +
           "/Root 1 0 R>>\nstartxref\n" + std::to_string(table_at) + "\n%%EOF\n";
  }

 private:
  static constexpr std::size_t kFirstOwn = 5;
  std::string fonts_, resources_, catalog_;
  std::vector<std::string> more_;
  std::vector<std::pair<std::string, std::string>> pages_;
};

// A line of text, y from the page's foot.
inline std::string line_at(double x, double y, const std::string& text, double size = 12,
                           const std::string& font = "F") {
  return "BT /" + font + " " + std::to_string(size) + " Tf " + std::to_string(x) + " " + std::to_string(y) +
         " Td (" + text + ") Tj ET\n";
}

// A font whose codes `pairs` ("<41><05DD>…") stand for characters.
inline std::string mapped_font(PdfFile& file, const std::string& pairs, int count) {
  std::size_t map = file.add(PdfFile::stream(
      "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapType 2 def 1 begincodespacerange "
      "<00><FF> endcodespacerange " +
      std::to_string(count) + " beginbfchar " + pairs + " endbfchar endcmap end end"));
  std::string widths;
  for (int i = 32; i <= 96; ++i) widths += "600 ";
  return "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode " + std::to_string(map) +
         " 0 R/FirstChar 32/LastChar 96/Widths[" + widths + "]>>";
}

}  // namespace bulkhead::extract
