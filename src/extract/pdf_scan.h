// Pages of a PDF that are pictures of text: which they are, and their recognition.
//
// Not thread-safe: one document, one thread.
#pragma once

#include "extract/ocr.h"
#include "extract/pdf_device.h"

class PDFDoc;

namespace bulkhead::extract {

// Whether a page's words are to be had from its picture: it has none, or hardly any beside a picture of a
// whole page, or only those of an invisible layer that is no good.
bool is_scan(const PdfPageText& text);

// Draws the page as a reader sees it and reads that.
RecognisedPage recognise_page(PDFDoc& document, int number);

}  // namespace bulkhead::extract
