// The reading order of recognised words: Tesseract cuts a page into blocks and reads one after the other,
// also where they are parts of one chart, whose rows would fall apart.
#pragma once

#include <cstddef>
#include <vector>

#include "extract/pdf_layout.h"

namespace bulkhead::extract {

struct RecognisedWord {
  PdfWord word;
  std::size_t block = 0, line = 0;  // numbers that grow in Tesseract's order
};

// How many of the words are a sign before a number, or a unit behind one, that recognition takes for another.
std::size_t count_ambiguous_signs(const std::vector<PdfWord>& words);

// Blocks that stand side by side are read row by row, unless they are columns of running text.
std::vector<PdfWord> in_rows(std::vector<RecognisedWord> words);

}  // namespace bulkhead::extract
