// Tables of a PDF's page, found by their columns: rows of which the cells stand below each other.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "extract/pdf_layout.h"

namespace bulkhead::extract {

// The end of the table that begins with rows[at]; `at` where none does. Lines of any distance belong to
// it, and lines that leave cells empty. `body` is the size most of the text is set in.
std::size_t table_end(const std::vector<PdfRow>& rows, std::size_t at, double body);

// Adds the table rows[from, to) to the builder: a block a row, with its columns' names when the first
// row is set as a header.
void compose_table(const std::vector<PdfRow>& rows, std::size_t from, std::size_t to,
                   DocumentBuilder& builder);

// A line set larger than the body.
bool is_heading_row(const PdfRow& row, double body);

}  // namespace bulkhead::extract
