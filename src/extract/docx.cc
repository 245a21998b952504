// DOCX (ECMA-376): a package of XML parts.
#include <map>

#include "extract/document.h"
#include "extract/package.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr int kDepthMax = 200;

Error invalid(std::string what) { return Error(ExtractionError::Invalid, std::move(what)); }

// Style id → heading level, from styles.xml: "heading 2", or an outline level.
std::map<std::string, int> heading_styles(const Package& package) {
  std::map<std::string, int> levels;
  auto xml = package.xml("word/styles.xml");
  if (!xml) return levels;
  for (pugi::xml_node style : (*xml)->document_element().children("w:style")) {
    std::string name = style.child("w:name").attribute("w:val").value();
    std::string id = style.attribute("w:styleId").value();
    pugi::xml_attribute outline = style.child("w:pPr").child("w:outlineLvl").attribute("w:val");
    if (name.starts_with("heading ") || name.starts_with("Heading ")) {
      levels[id] = std::max(1, std::atoi(name.c_str() + 8));
    } else if (name == "Title" || name == "title") {
      levels[id] = 1;
    } else if (outline) {
      levels[id] = outline.as_int() + 1;
    }
  }
  return levels;
}

class Reader {
 public:
  Reader(std::map<std::string, int> levels, const Limits& limits)
      : levels_(std::move(levels)), builder_("docx", limits) {}

  void read_body(pugi::xml_node body, int depth) {
    if (depth > kDepthMax) return;
    for (pugi::xml_node node : body.children()) {
      std::string_view name = node.name();
      if (name == "w:p")
        read_paragraph(node);
      else if (name == "w:tbl")
        read_table(node, depth + 1);
      else if (name == "w:sdt")
        read_body(node.child("w:sdtContent"), depth + 1);
      else if (name == "w:ins")
        read_body(node, depth + 1);
    }
  }

  void add_notes(pugi::xml_node notes) {
    for (pugi::xml_node note : notes.children("w:footnote")) {
      if (note.attribute("w:type")) continue;  // separators
      read_body(note, 0);
    }
  }

  Result<Document> take() { return builder_.take(); }

 private:
  // Text that is marked hidden, which Word shows to no reader.
  static bool is_hidden(pugi::xml_node run) {
    pugi::xml_node mark = run.child("w:rPr").child("w:vanish");
    std::string_view value = mark.attribute("w:val").value();
    return mark && value != "0" && value != "false";
  }

  // Runs of text; what a tracked change deleted is not part of the document.
  void collect(pugi::xml_node node, std::string& out, int depth) const {
    if (depth > kDepthMax) return;
    for (pugi::xml_node child : node.children()) {
      std::string_view name = child.name();
      if (name == "w:t")
        out += child.text().get();
      else if (name == "w:tab" || name == "w:br" || name == "w:cr")
        out += ' ';
      else if (name == "w:noBreakHyphen")
        out += '-';
      else if (name == "w:del" || name == "w:moveFrom" || name == "w:delText" || name == "w:instrText" ||
               name == "mc:Fallback" || name == "w:pPr" || name == "w:rPr" ||
               (name == "w:r" && is_hidden(child)))
        continue;
      else
        collect(child, out, depth + 1);
    }
  }

  void read_paragraph(pugi::xml_node paragraph) {
    std::string text;
    collect(paragraph, text, 0);
    pugi::xml_node properties = paragraph.child("w:pPr");
    auto level = levels_.find(properties.child("w:pStyle").attribute("w:val").value());
    if (level != levels_.end()) {
      builder_.add(BlockKind::Heading, text, level->second);
    } else {
      std::string_view style = properties.child("w:pStyle").attribute("w:val").value();
      bool item = properties.child("w:numPr") || style.starts_with("List");
      builder_.add(item ? BlockKind::ListItem : BlockKind::Paragraph, text);
    }
  }

  // Paragraphs of a cell, those of tables inside it too.
  void collect_cell(pugi::xml_node node, std::string& out, int depth) const {
    if (depth > kDepthMax) return;
    for (pugi::xml_node child : node.children()) {
      if (std::string_view(child.name()) == "w:p") {
        if (!out.empty()) out += ' ';
        collect(child, out, depth + 1);
      } else {
        collect_cell(child, out, depth + 1);
      }
    }
  }

  void read_table(pugi::xml_node table, int depth) {
    if (depth > kDepthMax) return;
    std::vector<std::string> header;
    bool first = true;
    for (pugi::xml_node row : table.children("w:tr")) {
      if (row.child("w:trPr").child("w:del")) continue;
      std::vector<std::string> cells;
      for (pugi::xml_node cell : row.children("w:tc")) {
        std::string text;
        collect_cell(cell, text, depth);
        cells.push_back(clean_text(text, false));
      }
      if (first && cells.size() > 1) {
        header = std::move(cells);
      } else {
        builder_.add(BlockKind::TableRow, row_text(header, cells));
      }
      first = false;
    }
  }

  std::map<std::string, int> levels_;
  DocumentBuilder builder_;
};

}  // namespace

Result<Document> extract_docx(std::string_view bytes, const Limits& limits) {
  BULKHEAD_TRY(package, Package::open(bytes));
  if (!package.has("word/document.xml")) {
    return Error(ExtractionError::Unsupported, "Of files of this kind only DOCX is read.");
  }
  BULKHEAD_TRY(xml, package.xml("word/document.xml"));
  pugi::xml_node body = xml->document_element().child("w:body");
  if (!body) return invalid("The document has no text.");
  Reader reader(heading_styles(package), limits);
  reader.read_body(body, 0);
  if (auto notes = package.xml("word/footnotes.xml")) reader.add_notes((*notes)->document_element());
  return reader.take();
}

}  // namespace bulkhead::extract
