// A Word table's grid: rows and cells wherever content controls, custom XML or tracked insertions wrap them.
#pragma once

#include <pugixml.hpp>
#include <vector>

#include "extract/docx_styles.h"

namespace bulkhead::extract {

struct DocxCell {
  pugi::xml_node node;
  std::size_t columns = 1, rows = 1;
  bool continues = false;  // a merged cell from above goes on here
  bool header = false;     // names its row
};

struct DocxRow {
  std::size_t columns_before = 0;  // left empty
  bool names_columns = false;
  std::vector<DocxCell> cells;
};

// Headings are rows marked so (`tblHeader`), or a first row that the table's style or its bold type sets
// apart; a first column names its rows by the same evidence. Deleted rows are left out.
std::vector<DocxRow> table_rows(pugi::xml_node table, const DocxStyles& styles);

}  // namespace bulkhead::extract
