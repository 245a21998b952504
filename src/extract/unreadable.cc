#include "extract/unreadable.h"

#include <algorithm>
#include <string>

#include "extract/document.h"

namespace bulkhead::extract {

using base::Error;

namespace {

struct Mark {
  std::size_t at;
  std::string_view bytes;
  const char* message;
};

using namespace std::string_view_literals;

constexpr char kUnpack[] = "Archives are not read. Unpack it and add the files.";
constexpr char kPicture[] = "Pictures of this kind are not read. Save it as PNG, JPEG or TIFF.";
constexpr char kRecording[] = "Recordings are not read. Add what is said as text.";

constexpr Mark kMarks[] = {
    {0, "Rar!\x1A\x07"sv, kUnpack},
    {0, "7z\xBC\xAF\x27\x1C"sv, kUnpack},
    {0, "\x1F\x8B\x08"sv, kUnpack},
    {4, "1AY&SY"sv, kUnpack},
    {0,
     "\xFD"
     "7zXZ\0"sv,
     kUnpack},
    {0, "\x28\xB5\x2F\xFD"sv, kUnpack},
    {257, "ustar"sv, kUnpack},
    {4, "ftypheic"sv, kPicture},
    {4, "ftypmif1"sv, kPicture},
    {0, "ID3\x03"sv, kRecording},
    {0, "ID3\x04"sv, kRecording},
    {8, "WAVEfmt"sv, kRecording},
    {4, "ftyp"sv, kRecording},
    {0, "OggS"sv, kRecording},
    {0, "\x1A\x45\xDF\xA3"sv, kRecording},
    {0, "%!PS"sv, "PostScript is not read. Save it as PDF."},
    {0, "{\\urtf"sv, "The file is in a form of RTF that is not read. Save it as DOCX or PDF."},
    {0,
     "\x7F"
     "ELF"sv,
     "Programs are not read. Add a document about it instead."},
    {0, "SQLite format 3\0"sv, "Databases are not read. Export its tables as CSV."},
    {0, "\xDB\xA5"sv, "Files of old Word versions are not read. Save it as DOCX or PDF."},
    {0, "\xFFWPC"sv, "WordPerfect files are not read. Save it as DOCX or PDF."},
};

// Names of streams in a compound file (MS-CFB) are UTF-16.
bool has_stream(std::string_view bytes, std::string_view name) {
  std::string wide;
  for (char c : name) wide += {c, '\0'};
  return bytes.find(wide) != std::string_view::npos;
}

Error unsupported(const char* message) { return Error(ExtractionError::Unsupported, message); }

constexpr std::string_view kCompoundMark = "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1";

Error refuse_compound_file(std::string_view bytes) {
  // A password turns an Office file into a compound file that holds this stream.
  if (has_stream(bytes, "EncryptedPackage"))
    return Error(ExtractionError::Encrypted, "The document is protected by a password. Remove it first.");
  if (has_stream(bytes, "WordDocument"))
    return unsupported("Files of old Word versions are not read. Save it as DOCX or PDF.");
  if (has_stream(bytes, "PowerPoint Document"))
    return unsupported("Files of old PowerPoint versions are not read. Save it as PPTX or PDF.");
  if (has_stream(bytes, "Workbook") || has_stream(bytes, "Book"))
    return unsupported("Files of old Excel versions are not read. Save it as XLSX or PDF.");
  return unsupported("Files of old Office versions are not read. Save it as DOCX, XLSX, PPTX or PDF.");
}

}  // namespace

// A message may hold a document as its attachment, so that this is asked first.
bool is_outlook_message(std::string_view bytes) {
  return bytes.starts_with(kCompoundMark) && has_stream(bytes, "__substg1.0_");
}

std::optional<Error> refuse_by_mark(std::string_view bytes) {
  if (bytes.starts_with(kCompoundMark)) return refuse_compound_file(bytes);
  for (const Mark& mark : kMarks) {
    if (bytes.size() > mark.at && bytes.substr(mark.at).starts_with(mark.bytes))
      return unsupported(mark.message);
  }
  return std::nullopt;
}

Error refuse_package(const Package& package) {
  auto names = package.names();
  auto any = [&names](std::string_view ending) {
    return std::any_of(names.begin(), names.end(),
                       [ending](const std::string& name) { return name.ends_with(ending); });
  };
  if (any(".iwa")) return unsupported("Files of Pages, Numbers and Keynote are not read. Export it as PDF.");
  if (any(".fpage")) return unsupported("XPS files are not read. Save it as PDF.");
  if (package.has("[Content_Types].xml"))
    return unsupported("Of Office files only DOCX, XLSX and PPTX are read. Save it as PDF.");
  return unsupported(kUnpack);
}

}  // namespace bulkhead::extract
