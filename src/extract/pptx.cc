// Presentations of Office Open XML (ECMA-376 part 1, 19): slides in their order, with tables and notes.
#include <algorithm>
#include <set>

#include "extract/number_format.h"
#include "extract/readers.h"
#include "extract/xml_names.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr int kDepthMax = 100;
constexpr std::uint32_t kSlidesMax = 5'000;
constexpr std::size_t kColumnsMax = 1'000;

bool is_on(std::string_view flag) { return flag == "1" || flag == "true"; }

// The text of a paragraph's runs and fields.
std::string paragraph_text(pugi::xml_node paragraph) {
  std::string out;
  for (pugi::xml_node run : paragraph.children()) {
    std::string_view name = local_name(run);
    if (name == "r" || name == "fld") {
      out += child_of(run, "t").text().get();
    } else if (name == "br") {
      out += ' ';
    } else if (name == "m" || name == "AlternateContent") {
      // Formulas: the text of all their parts in order.
      struct Collect : pugi::xml_tree_walker {
        std::string text;
        bool for_each(pugi::xml_node& node) override {
          if (local_name(node) == "t") text += node.text().get();
          return depth() < kDepthMax;
        }
      } collect;
      run.traverse(collect);
      out += collect.text;
    }
  }
  return out;
}

class Reader {
 public:
  Reader(const Package& package, const std::string& main, const Limits& limits)
      : package_(package), main_(main), builder_("pptx", limits) {}

  Result<Document> read() {
    BULKHEAD_TRY(show, package_.xml(main_));
    builder_.set_title(package_.title());
    auto relationships = package_.relationships(main_);
    for (pugi::xml_node entry : child_of(show->document_element(), "sldIdLst").children()) {
      if (entry.type() != pugi::node_element) continue;  // white space between them is a node too
      // The numeric id comes first; the relationship's has a prefix.
      std::string_view id;
      for (pugi::xml_attribute attribute : entry.attributes()) {
        if (std::string_view(attribute.name()).ends_with(":id")) id = attribute.value();
      }
      auto found = std::find_if(relationships.begin(), relationships.end(),
                                [id](const Relationship& each) { return each.id == id; });
      if (found == relationships.end()) continue;
      if (++slide_ > kSlidesMax)
        return Error(ExtractionError::TooLarge, "The presentation has more slides than are taken. Split it.");
      BULKHEAD_CHECK_OK(read_slide(found->target));
      if (builder_.full()) break;
    }
    return builder_.take();
  }

 private:
  Result<void> read_slide(const std::string& part) {
    BULKHEAD_TRY(slide, package_.xml(part));
    pugi::xml_node root = slide->document_element();
    if (root.attribute("show") && !is_on(value_of(root, "show"))) return Result<void>();
    slide_relationships_ = package_.relationships(part);
    read_shapes(child_of(child_of(root, "cSld"), "spTree"), 0);
    for (const Relationship& each : slide_relationships_) {
      if (each.type != "notesSlide" || !package_.has(each.target)) continue;
      BULKHEAD_TRY(notes, package_.xml(each.target));
      read_notes(child_of(child_of(notes->document_element(), "cSld"), "spTree"));
    }
    return Result<void>();
  }

  void read_shapes(pugi::xml_node tree, int depth) {
    if (depth > kDepthMax) return;
    for (pugi::xml_node shape : tree.children()) {
      std::string_view name = local_name(shape);
      if (name == "sp" && !is_hidden(shape, "nvSpPr")) {
        read_shape(shape);
      } else if (name == "cxnSp" || name == "pic") {
        continue;
      } else if (name == "grpSp" && !is_hidden(shape, "nvGrpSpPr")) {
        read_shapes(shape, depth + 1);
      } else if (name == "graphicFrame" && !is_hidden(shape, "nvGraphicFramePr")) {
        read_frame(shape);
      } else if (name == "AlternateContent") {
        // The same in a newer and an older form.
        pugi::xml_node newer = child_of(shape, "Choice");
        read_shapes(newer ? newer : child_of(shape, "Fallback"), depth + 1);
      }
    }
  }

  static bool is_hidden(pugi::xml_node shape, std::string_view properties) {
    return is_on(value_of(child_of(child_of(shape, properties), "cNvPr"), "hidden"));
  }

  static std::string_view placeholder(pugi::xml_node shape) {
    pugi::xml_node mark = child_of(child_of(child_of(shape, "nvSpPr"), "nvPr"), "ph");
    return value_of(mark, "type");
  }

  void read_shape(pugi::xml_node shape) {
    std::string_view kind = placeholder(shape);
    if (kind == "sldNum" || kind == "dt") return;
    // "Draft", "Confidential": once, where it stands first.
    if (kind == "ftr" || kind == "hdr") {
      for (pugi::xml_node paragraph : child_of(shape, "txBody").children()) {
        std::string text = local_name(paragraph) == "p" ? paragraph_text(paragraph) : "";
        if (margins_.insert(text).second) builder_.add(BlockKind::Paragraph, text, 0, slide_);
      }
      return;
    }
    bool title = kind == "title" || kind == "ctrTitle";
    pugi::xml_node body = child_of(shape, "txBody");
    if (title) {
      std::string text;
      for (pugi::xml_node paragraph : body.children())
        if (local_name(paragraph) == "p") text += (text.empty() ? "" : " ") + paragraph_text(paragraph);
      return builder_.add(BlockKind::Heading, text, 1, slide_);
    }
    for (pugi::xml_node paragraph : body.children()) {
      if (local_name(paragraph) != "p") continue;
      pugi::xml_node properties = child_of(paragraph, "pPr");
      bool item = child_of(properties, "buChar") || child_of(properties, "buAutoNum");
      builder_.add(item ? BlockKind::ListItem : BlockKind::Paragraph, paragraph_text(paragraph), 0, slide_);
    }
  }

  void read_frame(pugi::xml_node frame) {
    pugi::xml_node data = child_of(child_of(frame, "graphic"), "graphicData");
    if (pugi::xml_node table = child_of(data, "tbl")) return read_table(table);
    std::string_view id = value_of(child_of(data, "relIds"), "dm");
    std::string_view chart = value_of(child_of(data, "chart"), "id");
    for (const Relationship& each : slide_relationships_) {
      if (each.id.empty()) continue;
      if (each.id == id && each.type == "diagramData") read_diagram(each.target);
      if (each.id == chart && each.type == "chart") read_chart(each.target);
    }
  }

  void read_diagram(const std::string& part) {
    auto diagram = package_.xml(part);
    if (!diagram) return;
    for (pugi::xml_node point : child_of((*diagram)->document_element(), "ptLst").children()) {
      for (pugi::xml_node paragraph : child_of(point, "t").children()) {
        if (local_name(paragraph) == "p")
          builder_.add(BlockKind::Paragraph, paragraph_text(paragraph), 0, slide_);
      }
    }
  }

  static std::vector<std::string> cached_values(pugi::xml_node reference) {
    std::vector<std::string> out;
    for (pugi::xml_node kind : reference.children()) {
      for (std::string_view cache : {"strCache", "numCache"}) {
        pugi::xml_node values = child_of(kind, cache);
        std::string_view format = child_of(values, "formatCode").text().get();
        for (pugi::xml_node point : values.children()) {
          if (local_name(point) != "pt" || out.size() >= kColumnsMax) continue;
          std::string value = child_of(point, "v").text().get();
          // Points without a value are not stored; the others keep their columns.
          auto at = static_cast<std::size_t>(attribute_of(point, "idx").as_uint());
          if (at > out.size() && at < kColumnsMax) out.resize(at);
          out.push_back(cache == "numCache" ? shown_number(value, format.empty() ? "General" : format, false)
                                            : value);
        }
      }
    }
    return out;
  }

  void add_title(pugi::xml_node title) {
    for (pugi::xml_node paragraph : child_of(child_of(title, "tx"), "rich").children()) {
      if (local_name(paragraph) == "p")
        builder_.add(BlockKind::Paragraph, paragraph_text(paragraph), 0, slide_);
    }
  }

  // A row for each series: "Revenue; 2024: 5; 2025: 7".
  void read_chart(const std::string& part) {
    auto chart = package_.xml(part);
    if (!chart) return;
    pugi::xml_node whole = child_of((*chart)->document_element(), "chart");
    pugi::xml_node plot = child_of(whole, "plotArea");
    add_title(child_of(whole, "title"));
    for (pugi::xml_node group : plot.children()) {
      add_title(child_of(group, "title"));  // an axis's
      for (pugi::xml_node series : group.children()) {
        if (local_name(series) != "ser") continue;
        auto names = cached_values(child_of(series, "tx"));
        auto labels = cached_values(child_of(series, "cat"));
        auto values = cached_values(child_of(series, "val"));
        labels.insert(labels.begin(), "");
        values.insert(values.begin(), names.empty() ? "" : names.front());
        builder_.add(BlockKind::TableRow, row_text(labels, values), 0, slide_);
      }
    }
  }

  static std::string cell_text(pugi::xml_node cell) {
    std::string out;
    for (pugi::xml_node paragraph : child_of(cell, "txBody").children()) {
      if (local_name(paragraph) == "p") out += (out.empty() ? "" : " ") + paragraph_text(paragraph);
    }
    return clean_text(out, false);
  }

  // The header row is one only where the table says so. Cells merged downwards stand in each row.
  void read_table(pugi::xml_node table) {
    std::vector<std::string> header, above;
    bool first_names = is_on(value_of(child_of(table, "tblPr"), "firstRow"));
    bool first = true;
    std::set<std::size_t> used;
    for (pugi::xml_node row : table.children()) {
      if (local_name(row) != "tr") continue;
      std::vector<std::string> cells;
      std::string left;
      for (pugi::xml_node cell : row.children()) {
        if (local_name(cell) != "tc" || cells.size() >= kColumnsMax) continue;
        std::string text = cell_text(cell);
        std::size_t column = cells.size();
        if (is_on(value_of(cell, "vMerge")) && column < above.size()) text = above[column];
        if (is_on(value_of(cell, "hMerge"))) text = first && first_names ? left : "";
        left = text;
        cells.push_back(std::move(text));
      }
      above = cells;
      if (first && first_names && cells.size() > 1) {
        header = std::move(cells);
      } else {
        std::string line = row_text(header, cells);
        for (std::size_t i = 0; i < std::min(header.size(), cells.size()); ++i)
          if (!cells[i].empty()) used.insert(i);
        builder_.add(BlockKind::TableRow, line, 0, slide_);
      }
      first = false;
    }
    // A heading whose column is empty stands nowhere else.
    for (std::size_t i = 0; i < header.size(); ++i)
      if (used.count(i) > 0) header[i].clear();
    builder_.add(BlockKind::TableRow, row_text({}, header), 0, slide_);
  }

  void read_notes(pugi::xml_node tree) {
    for (pugi::xml_node shape : tree.children()) {
      if (local_name(shape) != "sp" || placeholder(shape) != "body") continue;
      for (pugi::xml_node paragraph : child_of(shape, "txBody").children()) {
        if (local_name(paragraph) == "p")
          builder_.add(BlockKind::Paragraph, paragraph_text(paragraph), 0, slide_);
      }
    }
  }

  const Package& package_;
  const std::string& main_;
  DocumentBuilder builder_;
  std::vector<Relationship> slide_relationships_;
  std::set<std::string> margins_;
  std::uint32_t slide_ = 0;
};

}  // namespace

Result<Document> extract_pptx(const Package& package, const std::string& main, const Limits& limits) {
  return Reader(package, main, limits).read();
}

}  // namespace bulkhead::extract
