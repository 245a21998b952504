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

struct PdfPageText {
  std::vector<PdfWord> words;  // in poppler's reading order
  std::size_t hidden = 0;      // characters that no reader of the page sees, left out
  std::size_t from_layer = 0;  // characters of invisible text over a picture: a scan's recognised text
  std::size_t seen = 0;        // characters that are drawn
  std::size_t pictures = 0;
  double picture_share = 0;  // of the page, that its largest picture covers
  std::size_t shapes = 0;    // painted areas; a page of very many may be text turned into outlines
};

// Of the page `number`, from 1.
PdfPageText visible_text(PDFDoc& document, int number);

// Maps poppler's tables of character codes, which can't be opened in the sandbox; pdf_tables.cc.
void map_pdf_tables();

}  // namespace bulkhead::extract
