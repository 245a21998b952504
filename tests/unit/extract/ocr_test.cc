// Scans: pictures made here with leptonica's own letters, which are those of a page at 300 dots an inch.
#include "extract/ocr.h"

#include <gtest/gtest.h>
#include <leptonica/allheaders.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ctime>
#include <memory>

#include "extract/ocr_order.h"
#include "extract/sandbox.h"
#include "pdf_support.h"
#include "support.h"

namespace bulkhead::extract {
namespace {

struct DestroyPix {
  void operator()(Pix* picture) const { pixDestroy(&picture); }
};
using OwnedPix = std::unique_ptr<Pix, DestroyPix>;

constexpr int kWide = 2100, kHigh = 1500;

bool holds(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

struct Line {
  int x, y;
  const char* text;
};

const std::vector<Line> kChart = {{120, 120, "Discharge summary of the ward"},
                                  {120, 360, "Drug"},
                                  {750, 360, "Dose"},
                                  {1350, 360, "Route"},
                                  {120, 480, "Amoxicillin"},
                                  {750, 480, "500 mg"},
                                  {1350, 480, "oral"},
                                  {120, 600, "Metoprolol"},
                                  {750, 600, "47.5 mg"},
                                  {1350, 600, "oral"},
                                  {120, 720, "Heparin"},
                                  {750, 720, "5000 units"},
                                  {1350, 720, "subcutaneous"},
                                  {120, 840, "Furosemide"},
                                  {750, 840, "40 mg"},
                                  {1350, 840, "oral"}};

OwnedPix page_of(const std::vector<Line>& lines) {
  OwnedPix page(pixCreate(kWide, kHigh, 8));
  pixSetAll(page.get());
  L_BMF* letters = bmfCreate(nullptr, 12);
  for (const Line& line : lines) {
    l_int32 width = 0, overflow = 0;
    pixSetTextline(page.get(), letters, line.text, 0, line.x, line.y, &width, &overflow);
  }
  bmfDestroy(&letters);
  pixSetResolution(page.get(), 300, 300);
  return page;
}

std::string png_of(Pix* picture) {
  l_uint8* data = nullptr;
  std::size_t bytes = 0;
  EXPECT_EQ(pixWriteMemPng(&data, &bytes, picture, 0), 0);
  std::string out(reinterpret_cast<char*>(data), bytes);
  lept_free(data);
  return out;
}

std::string jpeg_of(Pix* picture) {
  l_uint8* data = nullptr;
  std::size_t bytes = 0;
  EXPECT_EQ(pixWriteMemJpeg(&data, &bytes, picture, 90, 0), 0);
  std::string out(reinterpret_cast<char*>(data), bytes);
  lept_free(data);
  return out;
}

// A page of a PDF that is a picture from edge to edge, with `over` drawn on it.
void add_scan(PdfFile& file, Pix* picture, const std::string& name, const std::string& over = "") {
  const std::string jpeg = jpeg_of(picture);
  const std::size_t object = file.add(
      PdfFile::stream(jpeg, "/Type/XObject/Subtype/Image/Width " + std::to_string(pixGetWidth(picture)) +
                                "/Height " + std::to_string(pixGetHeight(picture)) +
                                "/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/DCTDecode"));
  file.resources("/XObject<</" + name + " " + std::to_string(object) + " 0 R>>");
  file.page("q 595 0 0 425 0 417 cm /" + name + " Do Q\n" + over);
}

// What a reader of the chart must find, whichever way it came.
void expect_chart(const base::Result<Document>& document) {
  ASSERT_TRUE(document.ok()) << document.error().describe();
  const std::string text = outline(document);
  for (const char* row :
       {"Amoxicillin; 500 mg; oral", "Metoprolol; 47.5 mg; oral", "Furosemide; 40 mg; oral"}) {
    EXPECT_TRUE(holds(text, row)) << row << " in\n" << text;
  }
}

class Ocr : public ::testing::Test {
 protected:
  Ocr() { prepare_ocr({.languages = {"eng"}}); }
  ~Ocr() override { prepare_ocr({}); }
};

TEST_F(Ocr, TheRowsOfAScannedChartStayRows) {
  const auto document = extract_any("chart.png", png_of(page_of(kChart).get()), Limits{});
  expect_chart(document);
  EXPECT_EQ(document->report.pages, 1u);
  ASSERT_EQ(document->report.recognised.size(), 1u);
  EXPECT_GT(document->report.recognised[0].confidence, 60);
}

TEST_F(Ocr, PagesThatLieOnTheirSideOrHeadAreTurned) {
  const OwnedPix upright = page_of(kChart);
  for (int quarters : {1, 2, 3}) {
    SCOPED_TRACE(quarters);
    const OwnedPix turned(pixRotateOrth(upright.get(), quarters));
    expect_chart(extract_any("chart.jpg", jpeg_of(turned.get()), Limits{}));
  }
}

TEST_F(Ocr, ScannedPagesOfAPdfAreReadAmongTheOthers) {
  PdfFile file;
  file.page(line_at(72, 700, "The first page is text."));
  add_scan(file, page_of(kChart).get(), "S");
  file.page("");
  const auto document = extract_pdf(file.bytes(), Limits{});
  expect_chart(document);
  EXPECT_TRUE(holds(outline(document), "The first page is text."));
  const Report& report = document->report;
  EXPECT_EQ(report.pages, 3u);
  ASSERT_EQ(report.recognised.size(), 1u) << "the page with text is taken as it is";
  EXPECT_EQ(report.recognised[0].page, 2u);
  EXPECT_EQ(report.left_out_of(LeftOut::PageWithoutText), 1u);
  EXPECT_EQ(report.left_out.front().pages, std::vector<std::uint32_t>{3});
}

// The stamp that an office puts on its scans is not the page.
TEST_F(Ocr, AStampOnAScanDoesNotStandForThePage) {
  PdfFile file;
  add_scan(file, page_of(kChart).get(), "S", line_at(450, 30, "EXHIBIT 0042"));
  expect_chart(extract_pdf(file.bytes(), Limits{}));
}

TEST_F(Ocr, AGoodLayerOfRecognisedTextIsTakenAndABadOneIsNot) {
  const auto layer = [](const std::string& text) { return "3 Tr " + line_at(60, 700, text); };
  PdfFile good, bad;
  add_scan(good, page_of(kChart).get(), "S", layer("Recognised by the scanner before"));
  add_scan(bad, page_of(kChart).get(), "S", layer("%% $$ ]} &! ~~ <> || ^^"));
  const auto taken = extract_pdf(good.bytes(), Limits{});
  EXPECT_TRUE(holds(outline(taken), "Recognised by the scanner before"));
  EXPECT_TRUE(taken->report.recognised.empty());
  expect_chart(extract_pdf(bad.bytes(), Limits{}));
}

TEST_F(Ocr, EveryPageOfATiffCounts) {
  const OwnedPix chart = page_of(kChart);
  const OwnedPix blank = page_of({});
  OwnedPix letter = page_of({{120, 180, "Dear colleague, the patient is well and may go home."}});
  Pixa* pages = pixaCreate(3);
  for (Pix* page : {chart.get(), blank.get(), letter.get()}) pixaAddPix(pages, page, L_CLONE);
  l_uint8* data = nullptr;
  std::size_t bytes = 0;
  ASSERT_EQ(pixaWriteMemMultipageTiff(&data, &bytes, pages), 0);
  const std::string tiff(reinterpret_cast<char*>(data), bytes);
  lept_free(data);
  pixaDestroy(&pages);
  const auto document = extract_any("fax.tif", tiff, Limits{});
  expect_chart(document);
  EXPECT_TRUE(holds(outline(document), "the patient is well"));
  EXPECT_EQ(document->report.pages, 3u);
  EXPECT_EQ(document->report.left_out_of(LeftOut::PageWithoutText), 1u);
}

TEST_F(Ocr, APictureWithoutTextIsRefusedWithTheWayOut) {
  const auto blank = extract_any("blank.png", png_of(page_of({}).get()), Limits{});
  ASSERT_FALSE(blank.ok());
  EXPECT_EQ(blank.error().message(),
            "No text was recognised on these pages. Scan them with 300 dots an inch, upright and sharp.");
}

// The size stands in the head; nothing is decoded.
TEST_F(Ocr, TooManyPixelsAreRefusedBeforeTheyAreDecoded) {
  std::string png = png_of(page_of({}).get());
  const std::string huge("\x00\x00\xC0\x00\x00\x00\xC0\x00", 8);  // 49,152 by 49,152
  png.replace(16, 8, huge);
  const auto refused = extract_any("huge.png", png, Limits{});
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(refused.error().is(ExtractionError::TooLarge)) << refused.error().describe();
}

TEST_F(Ocr, PagesBeyondTheTimeAreNamed) {
  prepare_ocr({.languages = {"eng"}, .seconds_max = 0});
  PdfFile file;
  file.page(line_at(72, 700, "The first page is text."));
  add_scan(file, page_of(kChart).get(), "S");
  const auto document = extract_pdf(file.bytes(), Limits{});
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(document->report.left_out_of(LeftOut::PageOutOfTime), 1u);
  const auto alone = extract_any("chart.png", png_of(page_of(kChart).get()), Limits{});
  ASSERT_FALSE(alone.ok());
  EXPECT_TRUE(alone.error().is(ExtractionError::TooLarge));
}

TEST_F(Ocr, ControlSwitchedOffNothingIsRecognisedAndThatIsSaid) {
  prepare_ocr({});
  EXPECT_EQ(extract_any("chart.png", png_of(page_of(kChart).get()), Limits{}).error().message(),
            "Pictures are not read here. Save it as a PDF with text.");
  PdfFile file;
  file.page(line_at(72, 700, "The first page is text."));
  add_scan(file, page_of(kChart).get(), "S");
  const auto document = extract_pdf(file.bytes(), Limits{});
  ASSERT_TRUE(document.ok());
  EXPECT_FALSE(holds(outline(document), "Amoxicillin"));
  EXPECT_EQ(document->report.left_out_of(LeftOut::PageNotRecognised), 1u);
}

// A name of a language is no path, and one that is not installed is left out.
TEST_F(Ocr, OnlyInstalledLanguagesAreUsed) {
  prepare_ocr({.languages = {"../../../etc/passwd", "xyz_not_there"}});
  EXPECT_FALSE(can_recognise());
  prepare_ocr({.languages = {"xyz_not_there", "eng", "deu"}});
  EXPECT_TRUE(can_recognise());
}

// No file, no thread, no more memory than is given: language data was mapped before.
TEST_F(Ocr, WorksInTheClosedSandbox) {
  prepare_ocr({.languages = {"eng", "deu"}});
  const std::string png = png_of(page_of(kChart).get());
  const pid_t child = ::fork();
  if (child == 0) {
    if (!enter_sandbox({.memory_bytes_max = 1u << 30, .seconds_max = 120})) ::_exit(2);
    ::_exit(holds(outline(extract_any("chart.png", png, Limits{})), "Amoxicillin; 500 mg; oral") ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), 0);
}

// A page that is drawn without end is ended as a document that is read without end is, long before the time
// for all pages is over; what stands still meanwhile is the clock of reading.
TEST(RecognitionClock, APageBeyondItsTimeEndsTheProcess) {
  const auto outcome = [](int page_seconds, double busy_seconds) {
    const pid_t child = ::fork();
    if (child == 0) {
      if (!enter_sandbox({.reading_seconds_max = 1, .seconds_max = 60})) ::_exit(2);
      const auto spent = [] {
        timespec now{};
        ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
        return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
      };
      {
        const ReadingClockPause pause(page_seconds);
        for (const double begun = spent(); spent() - begun < busy_seconds;) {
          for (volatile int i = 0; i < 1'000'000; i = i + 1) {
          }
        }
      }
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  };
  EXPECT_EQ(outcome(30, 1.5), 0) << "control: longer than reading may take, within the page's time";
  EXPECT_EQ(outcome(1, 20), SIGVTALRM);
}

RecognisedWord word_at(double left, double top, const char* text, std::size_t block, std::size_t line) {
  RecognisedWord word{.block = block, .line = line};
  word.word.text = text;
  word.word.left = left;
  word.word.right = left + 30;
  word.word.top = top;
  word.word.height = 10;
  return word;
}

std::string order_of(const std::vector<RecognisedWord>& words) {
  std::string all;
  for (const PdfWord& word : in_rows(words)) all += word.text + " ";
  return all;
}

TEST(OcrOrder, BlocksBesideEachOtherAreRowsUnlessTheyAreColumnsOfText) {
  EXPECT_EQ(order_of({word_at(0, 0, "Name:", 1, 1), word_at(0, 20, "INR:", 1, 2),
                      word_at(100, 1, "Erika", 2, 3), word_at(100, 21, "2.5", 2, 4)}),
            "Name: Erika INR: 2.5 ");
  std::vector<RecognisedWord> prose;
  for (std::size_t block : {1, 2}) {
    for (std::size_t line = 0; line < 3; ++line) {
      for (std::size_t i = 0; i < 5; ++i) {
        const std::string text = (block == 1 ? "a" : "b") + std::to_string(line);
        prose.push_back(word_at(static_cast<double>((block - 1) * 300 + i * 40),
                                static_cast<double>(line) * 20, text.c_str(), block, block * 10 + line));
      }
    }
  }
  const std::string read = order_of(prose);
  EXPECT_LT(read.rfind("a2"), read.find("b0")) << read;
  EXPECT_EQ(order_of({}), "");
}

// No model of a Latin script knows these signs, and each is sure of what it makes of them.
TEST(OcrOrder, SignsThatCantBeToldApartAreCounted) {
  const auto count = [](const std::vector<const char*>& texts) {
    std::vector<PdfWord> words;
    for (const char* text : texts) words.push_back(word_at(0, 0, text, 1, 1).word);
    return count_ambiguous_signs(words);
  };
  EXPECT_EQ(count({"pressure", "=", "140", "mmHg"}), 1u);
  EXPECT_EQ(count({"potassium", "s", "3.5"}), 1u);
  EXPECT_EQ(count({"dose", "+5", "mg"}), 1u);
  EXPECT_EQ(count({"creatinine", "97", "pmol/l"}), 1u);
  EXPECT_EQ(count({"a", "sum", "=", "b", "and", "s", "words", "140", "mg"}), 0u) << "control";
}

TEST_F(Ocr, APageSaysHowManyOfItsSignsAreAmbiguous) {
  const auto document = extract_any("signs.png",
                                    png_of(page_of({{120, 150, "Systolic pressure > 140 mmHg"},
                                                    {120, 270, "The patient may go home tomorrow."}})
                                               .get()),
                                    Limits{});
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(document->report.left_out_of(LeftOut::AmbiguousSign), 1u);
}

}  // namespace
}  // namespace bulkhead::extract
