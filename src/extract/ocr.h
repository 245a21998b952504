// Optical character recognition by Tesseract, inside the sandbox (docs/decisions/0041-recognition.md).
//
// Language data is mapped before the sandbox closes and read from there: no file is opened later, and nothing
// is parsed before. One thread: Tesseract's OpenMP regions are told to be inactive, since the sandbox makes
// no threads. Words come with their places, in points of the page, so that the layout of PDF pages
// (pdf_layout.h) makes rows and paragraphs of them: a row of a scanned chart is a row.
//
// Not thread-safe: one document, one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "extract/pdf_layout.h"

struct Pix;

namespace bulkhead::extract {

struct OcrSettings {
  // As Tesseract names them ("eng", "deu"), the main one first; none: nothing is recognised.
  std::vector<std::string> languages;
  // Processor seconds that all pages of a document may take together, and one of them.
  int seconds_max = 300;
  int page_seconds_max = 30;
};

// Maps the data of the languages, and what tells orientation. Before the sandbox. Languages of which there is
// no data are left out; with none left, nothing is recognised.
void prepare_ocr(const OcrSettings& settings);

// Whether pictures can be read at all in this process.
bool can_recognise();
// Whether the document's time for it is not over. Asked before a page is drawn.
bool has_recognition_time();
// What a page may take in all, drawing included: twice what its recognition may.
int page_seconds_max();

enum class PageOutcome {
  Recognised,
  NoText,     // nothing that looks like letters
  TooLarge,   // more pixels than are taken
  OutOfTime,  // the document's time was over before this page, or its own
  Failed,
};

struct RecognisedPage {
  PageOutcome outcome = PageOutcome::NoText;
  std::vector<PdfWord> words;  // in reading order
  int confidence = 0;          // in percent, on average over the letters
  // Signs and units before or behind a number that the models can't tell from others, though they are sure of
  // them: none of those for Latin scripts knows "≥", "≤" or "±", which come as "=", ">", "<", "s" or "+", and
  // "µmol" comes as "pmol" (seen with Tesseract 5.3 and 5.5, findings/tesseract_reads_at_least_as_equal.sh).
  std::size_t ambiguous_signs = 0;
};

// Reads a page's picture, turned upright first. `dots_per_inch` says how large it is; 0: unknown, it is
// judged by the letters. Does not take the picture over.
RecognisedPage recognise(Pix* picture, int dots_per_inch);

// Pictures beyond this are not decoded.
inline constexpr std::uint64_t kPixelsMax = 120'000'000;

}  // namespace bulkhead::extract
