#include "extract/ocr.h"

#include <fcntl.h>
#include <leptonica/allheaders.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <tesseract/baseapi.h>
#include <tesseract/ocrclass.h>
#include <tesseract/resultiterator.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <ctime>
#include <map>
#include <memory>
#include <optional>

#include "base/descriptor.h"
#include "extract/ocr_order.h"

// OpenMP 5.0, 3.2.15. Of the library that Tesseract is built with (GNU's); clang's header is that of another
// one.
extern "C" void omp_set_max_active_levels(int levels);

namespace bulkhead::extract {

namespace {

// Where Debian's packages put it, by versions of the format.
constexpr const char* kDataFolders[] = {"/usr/share/tesseract-ocr/5/tessdata/",
                                        "/usr/share/tesseract-ocr/4.00/tessdata/", "/usr/share/tessdata/"};
constexpr std::size_t kDataBytesMax = 256u << 20;
// What Tesseract believes to read from; it goes no further than `read_mapped`.
constexpr char kPlace[] = "/";
constexpr char kOrientation[] = "osd";
constexpr int kDotsPerInch = 300;  // taken for a picture that does not say
constexpr double kPointsPerInch = 72;
// Below this a turned page is tried in the other three directions.
constexpr int kSureEnough = 60;
// Letters read with less are specks and lines more often than letters.
constexpr float kWordConfidenceMin = 20;
constexpr float kOrientationConfidenceMin = 2;
constexpr double kSameSize = 0.35;

struct Mapped {
  const char* data = nullptr;
  std::size_t bytes = 0;
};
struct Prepared {
  OcrSettings settings;
  std::map<std::string, Mapped, std::less<>> data;  // by language
  std::string languages;                            // "eng+deu"
};
Prepared& prepared() {
  static Prepared one;
  return one;
}

// The name of a language has no way out of the folder.
bool is_language(std::string_view name) {
  return !name.empty() && name.size() <= 32 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

bool map_language(const std::string& name) {
  if (!is_language(name)) return false;
  if (prepared().data.contains(name)) return true;
  for (const char* folder : kDataFolders) {
    const base::Descriptor file(::open((folder + name + ".traineddata").c_str(), O_RDONLY | O_CLOEXEC));
    struct stat info{};
    if (!file || ::fstat(file.get(), &info) != 0 || info.st_size <= 0) continue;
    const auto bytes = static_cast<std::size_t>(info.st_size);
    if (bytes > kDataBytesMax) continue;
    void* at = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (at == MAP_FAILED) continue;
    prepared().data[name] = {static_cast<const char*>(at), bytes};
    return true;
  }
  return false;
}

// Tesseract's way to files: "/eng.traineddata".
bool read_mapped(const char* path, std::vector<char>* out) {
  std::string_view name(path);
  if (const auto slash = name.rfind('/'); slash != std::string_view::npos) name.remove_prefix(slash + 1);
  constexpr std::string_view kEnding = ".traineddata";
  if (!name.ends_with(kEnding)) return false;
  name.remove_suffix(kEnding.size());
  const auto found = prepared().data.find(name);
  if (found == prepared().data.end()) return false;
  out->assign(found->second.data, found->second.data + found->second.bytes);
  return true;
}

double processor_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

struct DestroyPix {
  void operator()(Pix* picture) const { pixDestroy(&picture); }
};
using OwnedPix = std::unique_ptr<Pix, DestroyPix>;

// The engine of this process, made at the first page.
class Engine {
 public:
  static Engine* get() {
    static Engine one;
    return one.ready_ ? &one : nullptr;
  }

  // Quarter turns that make the page upright, clockwise; nothing when its letters don't tell.
  std::optional<int> orientation(Pix* picture, int dots_per_inch) {
    if (!tells_orientation_) return std::nullopt;
    orientation_.SetImage(picture);
    orientation_.SetSourceResolution(dots_per_inch);
    int degrees = 0;
    float sure = 0;
    const char* script = nullptr;
    float script_sure = 0;
    if (!orientation_.DetectOrientationScript(&degrees, &sure, &script, &script_sure)) return std::nullopt;
    if (sure < kOrientationConfidenceMin) return std::nullopt;
    return (360 - degrees) / 90 % 4;
  }

  RecognisedPage read(Pix* picture, int dots_per_inch, int milliseconds_max) {
    tesseract_.SetImage(picture);
    tesseract_.SetSourceResolution(dots_per_inch);
    tesseract_.SetPageSegMode(tesseract::PSM_AUTO);
    tesseract::ETEXT_DESC monitor;
    monitor.set_deadline_msecs(milliseconds_max);
    RecognisedPage page;
    if (tesseract_.Recognize(&monitor) != 0) {
      page.outcome = monitor.deadline_exceeded() ? PageOutcome::OutOfTime : PageOutcome::Failed;
      return page;
    }
    std::unique_ptr<tesseract::ResultIterator> words(tesseract_.GetIterator());
    gather(words.get(), kPointsPerInch / dots_per_inch, page);
    tesseract_.Clear();
    return page;
  }

 private:
  Engine() {
    const Prepared& data = prepared();
    if (data.languages.empty()) return;
    // GNU's OpenMP makes no thread for a region that is inactive (OpenMP 5.0, 2.5.1).
    omp_set_max_active_levels(0);
    setMsgSeverity(L_SEVERITY_NONE);
    ready_ = tesseract_.Init(kPlace, 0, data.languages.c_str(), tesseract::OEM_LSTM_ONLY, nullptr, 0, nullptr,
                             nullptr, false, read_mapped) == 0;
    if (ready_) tesseract_.SetVariable("debug_file", "/dev/null");
    // It is told by shapes of letters, for which only the older engine has data.
    tells_orientation_ = orientation_.Init(kPlace, 0, kOrientation, tesseract::OEM_TESSERACT_ONLY, nullptr, 0,
                                           nullptr, nullptr, false, read_mapped) == 0;
  }

  // A line with a "g" in it is taller than one without, though of one font: what is near the usual size is of
  // it.
  static void even_sizes(std::vector<PdfWord>& words) {
    std::vector<double> sizes;
    for (const PdfWord& word : words) sizes.push_back(word.size);
    const auto middle = sizes.begin() + static_cast<std::ptrdiff_t>(sizes.size() / 2);
    std::nth_element(sizes.begin(), middle, sizes.end());
    const double usual = *middle;
    for (PdfWord& word : words) {
      if (std::abs(word.size - usual) < usual * kSameSize) word.size = usual;
    }
  }

  // A line's own box stands for the height of its words, so that all of them are level.
  static void gather(tesseract::ResultIterator* at, double scale, RecognisedPage& page) {
    double sure = 0, letters = 0;
    std::size_t block = 0, line = 0;
    std::vector<RecognisedWord> words;
    if (!at) return;
    do {
      block += at->IsAtBeginningOf(tesseract::RIL_BLOCK) ? 1 : 0;
      line += at->IsAtBeginningOf(tesseract::RIL_TEXTLINE) ? 1 : 0;
      const std::unique_ptr<char[]> text(at->GetUTF8Text(tesseract::RIL_WORD));
      const float confidence = at->Confidence(tesseract::RIL_WORD);
      int left = 0, top = 0, right = 0, bottom = 0;
      if (!text || confidence < kWordConfidenceMin ||
          !at->BoundingBox(tesseract::RIL_WORD, &left, &top, &right, &bottom)) {
        continue;
      }
      PdfWord word;
      word.text = text.get();
      while (!word.text.empty() && static_cast<unsigned char>(word.text.back()) <= 0x20) word.text.pop_back();
      if (word.text.empty()) continue;
      int line_left = 0, line_top = top, line_right = 0, line_bottom = bottom;
      at->BoundingBox(tesseract::RIL_TEXTLINE, &line_left, &line_top, &line_right, &line_bottom);
      word.left = left * scale;
      word.right = right * scale;
      word.top = line_top * scale;
      word.height = (line_bottom - line_top) * scale;
      float row_height = 0, descenders = 0, ascenders = 0;
      at->RowAttributes(&row_height, &descenders, &ascenders);
      word.size = row_height > 0 ? static_cast<double>(row_height) * scale : word.height;
      word.base = line_bottom * scale;
      const auto count = static_cast<double>(word.text.size());
      sure += static_cast<double>(confidence) * count;
      letters += count;
      words.push_back({std::move(word), block, line});
    } while (at->Next(tesseract::RIL_WORD));
    if (letters == 0) return;
    page.words = in_rows(std::move(words));
    even_sizes(page.words);
    page.ambiguous_signs = count_ambiguous_signs(page.words);
    page.outcome = PageOutcome::Recognised;
    page.confidence = static_cast<int>(std::lround(sure / letters));
  }

  tesseract::TessBaseAPI tesseract_, orientation_;
  bool ready_ = false, tells_orientation_ = false;
};

int milliseconds_left(double begun) {
  const OcrSettings& settings = prepared().settings;
  const double left = std::min<double>(settings.page_seconds_max - (processor_seconds() - begun),
                                       settings.seconds_max - processor_seconds());
  return left <= 0 ? 0 : static_cast<int>(left * 1000);
}

}  // namespace

void prepare_ocr(const OcrSettings& settings) {
  prepared().settings = settings;
  prepared().languages.clear();
  for (const std::string& name : settings.languages) {
    if (!map_language(name)) continue;
    prepared().languages += (prepared().languages.empty() ? "" : "+") + name;
  }
  if (!prepared().languages.empty()) map_language(kOrientation);
}

bool can_recognise() { return !prepared().languages.empty(); }

bool has_recognition_time() { return processor_seconds() < prepared().settings.seconds_max; }

int page_seconds_max() { return 2 * std::max(prepared().settings.page_seconds_max, 1); }

RecognisedPage recognise(Pix* picture, int dots_per_inch) {
  RecognisedPage page;
  page.outcome = PageOutcome::Failed;
  const auto width = static_cast<std::uint64_t>(pixGetWidth(picture));
  const auto height = static_cast<std::uint64_t>(pixGetHeight(picture));
  if (width * height > kPixelsMax) {
    page.outcome = PageOutcome::TooLarge;
    return page;
  }
  const double begun = processor_seconds();
  if (milliseconds_left(begun) == 0) {
    page.outcome = PageOutcome::OutOfTime;
    return page;
  }
  if (dots_per_inch < 70 || dots_per_inch > 2400) dots_per_inch = kDotsPerInch;
  Engine* engine = Engine::get();
  OwnedPix gray(pixConvertTo8(picture, 0));
  if (!engine || !gray) return page;
  const auto turned = [&](int quarters) { return OwnedPix(pixRotateOrth(gray.get(), quarters)); };
  const auto read = [&](int quarters) {
    const OwnedPix upright = turned(quarters);
    // A scan that lies a little askew has no level rows.
    const OwnedPix straight(upright ? pixDeskew(upright.get(), 0) : nullptr);
    Pix* best = straight ? straight.get() : upright.get();
    const int left = milliseconds_left(begun);
    if (!best || left == 0) return RecognisedPage{.outcome = PageOutcome::OutOfTime};
    return engine->read(best, dots_per_inch, left);
  };
  const std::optional<int> known = engine->orientation(gray.get(), dots_per_inch);
  page = read(known.value_or(0));
  if (known || (page.outcome == PageOutcome::Recognised && page.confidence >= kSureEnough)) return page;
  // Too few letters to tell the orientation by: the reading itself tells.
  for (int quarters : {1, 3, 2}) {
    if (milliseconds_left(begun) == 0) break;
    RecognisedPage other = read(quarters);
    if (other.outcome == PageOutcome::Recognised && other.confidence > page.confidence + 10)
      page = std::move(other);
  }
  return page;
}

}  // namespace bulkhead::extract
