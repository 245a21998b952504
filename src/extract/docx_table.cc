#include "extract/docx_table.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>

#include "extract/docx_run.h"
#include "extract/table.h"
#include "extract/xml_names.h"

namespace bulkhead::extract {

namespace {

// Elements of one name below a node, through whatever wraps them but not inside one another.
void gather(pugi::xml_node node, std::string_view name, std::vector<pugi::xml_node>& out, int depth) {
  if (depth > kDocxDepthMax) return;
  for (pugi::xml_node child : node.children()) {
    std::string_view own = local_name(child);
    if (own == name) {
      out.push_back(child);
    } else if (own == "AlternateContent") {
      pugi::xml_node choice = child_of(child, "Choice");
      gather(choice ? choice : child_of(child, "Fallback"), name, out, depth + 1);
    } else if (own != "tbl" && own != "p" && own != "del" && own != "moveFrom") {
      gather(child, name, out, depth + 1);
    }
  }
}

std::size_t count_in(pugi::xml_node properties, std::string_view name, std::size_t missing) {
  pugi::xml_node one = child_of(properties, name);
  int value = attribute_of(one, "val").as_int(static_cast<int>(missing));
  return static_cast<std::size_t>(std::clamp(value, 0, static_cast<int>(TableBuilder::kColumnsMax)));
}

DocxRow parse_row(pugi::xml_node node) {
  DocxRow row;
  pugi::xml_node properties = child_of(node, "trPr");
  row.columns_before = count_in(properties, "gridBefore", 0);
  row.names_columns = is_on(child_of(properties, "tblHeader"));
  std::vector<pugi::xml_node> cells;
  gather(node, "tc", cells, 0);
  for (pugi::xml_node cell : cells) {
    pugi::xml_node own = child_of(cell, "tcPr");
    pugi::xml_node merge = child_of(own, "vMerge");
    row.cells.push_back({cell, std::max<std::size_t>(1, count_in(own, "gridSpan", 1)), 1,
                         merge && value_of(merge) != "restart", false});
  }
  return row;
}

// From the last row up: how many rows below go on with the cell that begins at a column.
void measure_merges(std::vector<DocxRow>& rows) {
  std::map<std::size_t, std::size_t> below;
  for (auto row = rows.rbegin(); row != rows.rend(); ++row) {
    std::map<std::size_t, std::size_t> here;
    std::size_t column = row->columns_before;
    for (DocxCell& cell : row->cells) {
      auto found = below.find(column);
      std::size_t reach = 1 + (found == below.end() ? 0 : found->second);
      if (cell.continues) {
        here[column] = reach;
      } else {
        cell.rows = reach;
      }
      column += cell.columns;
    }
    below = std::move(here);
  }
}

bool looks_on(pugi::xml_node table, const char* flag, unsigned bit) {
  pugi::xml_node look = child_of(child_of(table, "tblPr"), "tblLook");
  if (pugi::xml_attribute own = attribute_of(look, flag))
    return own.as_bool() || std::string_view(own.value()) == "on";
  return (std::strtoul(std::string(value_of(look)).c_str(), nullptr, 16) & bit) != 0;
}

constexpr unsigned kFirstRowBit = 0x20, kFirstColumnBit = 0x80;

void mark_headings(pugi::xml_node table, const DocxStyles& styles, std::vector<DocxRow>& rows) {
  bool marked = std::any_of(rows.begin(), rows.end(), [](const DocxRow& row) { return row.names_columns; });
  if (rows.size() < 2 || marked) return;
  std::string style(value_of(child_of(child_of(table, "tblPr"), "tblStyle")));
  auto bold = [&styles](const DocxCell& cell) { return is_all_bold(cell.node, styles); };
  auto row_is_bold = [&bold](const DocxRow& row) {
    return row.cells.size() > 1 && std::all_of(row.cells.begin() + 1, row.cells.end(), bold);
  };
  if (rows[0].cells.size() > 1) {
    bool by_style = looks_on(table, "firstRow", kFirstRowBit) && styles.sets_apart(style, "firstRow");
    bool by_type = row_is_bold(rows[0]) && std::none_of(rows.begin() + 1, rows.end(), row_is_bold);
    rows[0].names_columns = by_style || by_type;
  }
  if (rows[0].names_columns) return;
  auto is_label = [&bold](const DocxRow& row) {
    return row.cells.size() > 1 && bold(row.cells[0]) && !bold(row.cells[1]);
  };
  bool labels = (looks_on(table, "firstColumn", kFirstColumnBit) && styles.sets_apart(style, "firstCol")) ||
                std::all_of(rows.begin(), rows.end(), is_label);
  for (DocxRow& row : rows) {
    if (labels && row.cells.size() > 1) row.cells[0].header = true;
  }
}

}  // namespace

std::vector<DocxRow> table_rows(pugi::xml_node table, const DocxStyles& styles) {
  std::vector<pugi::xml_node> nodes;
  gather(table, "tr", nodes, 0);
  std::vector<DocxRow> rows;
  for (pugi::xml_node node : nodes) {
    if (!child_of(child_of(node, "trPr"), "del")) rows.push_back(parse_row(node));
  }
  measure_merges(rows);
  mark_headings(table, styles, rows);
  return rows;
}

}  // namespace bulkhead::extract
