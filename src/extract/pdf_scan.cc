#include "extract/pdf_scan.h"

#include <PDFDoc.h>
#include <SplashOutputDev.h>
#include <leptonica/allheaders.h>
#include <splash/SplashBitmap.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "extract/document.h"

namespace bulkhead::extract {

namespace {

constexpr double kDotsPerInch = 300;  // what Tesseract's models were trained on
constexpr double kPointsPerInch = 72;
constexpr double kPagePixelsMax = 40'000'000;  // larger pages are drawn more coarsely
constexpr double kWholePage = 0.5;             // of the page, that a scan covers at least
constexpr double kPictured = 0.05;
constexpr std::size_t kStampCharacters = 200;  // beside a scan: a stamp, a number of the page
constexpr std::size_t kOutlines = 200;
constexpr double kGoodWords = 0.7;  // of the words of a layer, at least

// A word of letters or figures, perhaps with marks around it.
bool is_wordlike(const std::string& word) {
  std::size_t good = 0, all = 0;
  for (std::size_t i = 0; i < word.size();) {
    const std::size_t bytes =
        std::max<std::size_t>(1, utf8_character_bytes(std::string_view(word).substr(i)));
    const auto first = static_cast<unsigned char>(word[i]);
    const bool replaced = word.compare(i, bytes, "\uFFFD") == 0;
    const bool letter = (first >= '0' && first <= '9') || (first >= 'A' && first <= 'Z') ||
                        (first >= 'a' && first <= 'z') || (first >= 0xC3 && !replaced);
    good += letter;
    ++all;
    i += bytes;
  }
  return good * 2 >= all;
}

bool is_bad_layer(const std::vector<PdfWord>& words) {
  const auto good =
      std::count_if(words.begin(), words.end(), [](const PdfWord& word) { return is_wordlike(word.text); });
  return static_cast<double>(good) < static_cast<double>(words.size()) * kGoodWords;
}

struct DestroyPix {
  void operator()(Pix* picture) const { pixDestroy(&picture); }
};

std::unique_ptr<Pix, DestroyPix> picture_of(SplashBitmap& bitmap) {
  std::unique_ptr<Pix, DestroyPix> picture(pixCreate(bitmap.getWidth(), bitmap.getHeight(), 8));
  if (!picture) return nullptr;
  l_uint32* lines = pixGetData(picture.get());
  const int words_per_line = pixGetWpl(picture.get());
  for (int y = 0; y < bitmap.getHeight(); ++y) {
    const unsigned char* row = bitmap.getDataPtr() + static_cast<std::ptrdiff_t>(y) * bitmap.getRowSize();
    l_uint32* line = lines + static_cast<std::ptrdiff_t>(y) * words_per_line;
    for (int x = 0; x < bitmap.getWidth(); ++x) SET_DATA_BYTE(line, x, row[x]);
  }
  return picture;
}

}  // namespace

bool is_scan(const PdfPageText& text) {
  const bool pictured = text.picture_share >= kPictured || text.shapes >= kOutlines;
  if (text.words.empty()) return pictured;
  if (text.picture_share < kWholePage) return false;
  if (text.seen == 0) return is_bad_layer(text.words);
  return text.from_layer == 0 && text.seen < kStampCharacters;
}

RecognisedPage recognise_page(PDFDoc& document, int number) {
  RecognisedPage failed{.outcome = PageOutcome::Failed};
  const double area = document.getPageMediaWidth(number) * document.getPageMediaHeight(number);
  if (!std::isfinite(area) || area <= 0) return failed;
  const double wanted = area * kDotsPerInch * kDotsPerInch / kPointsPerInch / kPointsPerInch;
  const double dots = kDotsPerInch * std::min(1.0, std::sqrt(kPagePixelsMax / wanted));
  SplashColor paper = {0xFF, 0xFF, 0xFF};
  SplashOutputDev device(splashModeMono8, 4, false, paper);
  device.startDoc(&document);
  document.displayPage(&device, number, dots, dots, 0, false, true, false);
  const std::unique_ptr<SplashBitmap> bitmap(device.takeBitmap());
  if (!bitmap || !bitmap->getDataPtr()) return failed;
  const auto picture = picture_of(*bitmap);
  return picture ? recognise(picture.get(), static_cast<int>(dots)) : failed;
}

}  // namespace bulkhead::extract
