// A page's words as its reader sees them, by poppler: text that is invisible, covered, clipped, tiny or
// in the colour of its ground is left out (docs/decisions/0039-pdf-device.md).
//
// Uses poppler's own output device, because its C++ interface tells neither colours nor what is drawn
// over a text. Not thread-safe: one document, one thread.
#pragma once

#include <vector>

#include "extract/pdf_layout.h"

class PDFDoc;

namespace bulkhead::extract {

// Of the page `number`, from 1, in poppler's reading order.
std::vector<PdfWord> visible_words(PDFDoc& document, int number);

// Maps poppler's tables of character codes, which can't be opened in the sandbox; pdf_tables.cc.
void map_pdf_tables();

}  // namespace bulkhead::extract
