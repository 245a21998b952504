// Pictures as documents: scans and photographs of pages, by leptonica and recognition.
#include <leptonica/allheaders.h>

#include <memory>

#include "extract/ocr.h"
#include "extract/readers.h"
#include "extract/sandbox.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

// Of a TIFF file.
constexpr int kPicturesMax = 1'000;

struct DestroyPix {
  void operator()(Pix* picture) const { pixDestroy(&picture); }
};
using OwnedPix = std::unique_ptr<Pix, DestroyPix>;

const l_uint8* bytes_of(std::string_view bytes) { return reinterpret_cast<const l_uint8*>(bytes.data()); }

Error too_large() {
  return Error(ExtractionError::TooLarge,
               "The picture has more pixels than are taken. Scan it with 300 dots an inch.");
}

Error damaged() {
  return Error(ExtractionError::Invalid,
               "The picture is damaged, or of a kind that is not read. Save it as PNG, JPEG or TIFF.");
}

// Asked before a pixel is decoded.
Result<void> check_size(std::string_view bytes) {
  l_int32 format = 0, width = 0, height = 0, bits = 0, samples = 0, palette = 0;
  if (pixReadHeaderMem(bytes_of(bytes), bytes.size(), &format, &width, &height, &bits, &samples, &palette) !=
      0)
    return damaged();
  if (width <= 0 || height <= 0) return damaged();
  if (static_cast<std::uint64_t>(width) * static_cast<std::uint64_t>(height) > kPixelsMax) return too_large();
  return {};
}

void add_page(OwnedPix picture, std::uint32_t page, std::vector<PdfRow>& rows, Report& report) {
  RecognisedPage read;
  if (picture) {
    const ReadingClockPause pause(page_seconds_max());
    read = recognise(picture.get(), pixGetXRes(picture.get()));
  } else {
    read.outcome = PageOutcome::Failed;
  }
  note_recognised(report, page, read);
  for (PdfRow& row : rows_of_page(read.words, page)) rows.push_back(std::move(row));
}

}  // namespace

void note_recognised(Report& report, std::uint32_t page, const RecognisedPage& read) {
  report.leave_out(LeftOut::AmbiguousSign, read.ambiguous_signs, page);
  switch (read.outcome) {
    case PageOutcome::Recognised: report.recognised.push_back({page, read.confidence}); return;
    case PageOutcome::NoText: report.leave_out(LeftOut::PageWithoutText, 1, page); return;
    case PageOutcome::TooLarge: report.leave_out(LeftOut::PageTooLarge, 1, page); return;
    case PageOutcome::OutOfTime: report.leave_out(LeftOut::PageOutOfTime, 1, page); return;
    case PageOutcome::Failed: report.leave_out(LeftOut::PageNotRecognised, 1, page); return;
  }
}

Error no_text_in_pictures(const Report& report) {
  if (report.left_out_of(LeftOut::PageOutOfTime) > 0) {
    return Error(ExtractionError::TooLarge,
                 "Recognising the text of these pages takes longer than is given. Split the file.");
  }
  if (report.left_out_of(LeftOut::PageTooLarge) > 0) return too_large();
  return Error(ExtractionError::Invalid,
               "No text was recognised on these pages. Scan them with 300 dots an inch, upright and sharp.");
}

Result<Document> extract_image(std::string_view bytes, bool pages, const Limits& limits) {
  if (!can_recognise()) {
    return Error(ExtractionError::Unsupported, "Pictures are not read here. Save it as a PDF with text.");
  }
  setMsgSeverity(L_SEVERITY_NONE);
  DocumentBuilder builder("image", limits);
  Report& report = builder.report();
  std::vector<PdfRow> rows;
  BULKHEAD_CHECK_OK(check_size(bytes));
  if (pages) {
    std::size_t offset = 0;
    std::uint32_t page = 0;
    do {
      if (++page > kPicturesMax)
        return Error(ExtractionError::TooLarge, "The file has more pages than are taken. Split it.");
      add_page(OwnedPix(pixReadMemFromMultipageTiff(bytes_of(bytes), bytes.size(), &offset)), page, rows,
               report);
    } while (offset != 0);
    report.pages = page;
  } else {
    OwnedPix picture(pixReadMem(bytes_of(bytes), bytes.size()));
    if (!picture) return damaged();
    report.pages = 1;
    add_page(std::move(picture), 1, rows, report);
  }
  if (rows.empty()) return no_text_in_pictures(report);
  drop_furniture(rows);
  compose_blocks(rows, builder);
  return builder.take();
}

}  // namespace bulkhead::extract
