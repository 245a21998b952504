// What an extracted document is made of, and the errors of extraction. The worker's own side of
// docs/extract-protocol.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::extract {

enum class ExtractionError { Unsupported, Invalid, Encrypted, TooLarge };
base::ErrorName error_name(ExtractionError code);

enum class BlockKind { Heading, Paragraph, ListItem, TableRow, Code };
std::string_view block_kind_name(BlockKind kind);

struct Block {
  BlockKind kind = BlockKind::Paragraph;
  int level = 0;
  std::string text;
  std::uint32_t page = 0;
};

// What a reader leaves out of a document's text although it is in the file, or may be. A closed set: the
// gateway knows the same names (docs/extract-protocol.md).
enum class LeftOut {
  HiddenText,         // characters that no reader of a page sees: invisible, covered, clipped, tiny, white
  PageWithoutText,    // pages on which nothing is written, or nothing that could be recognised as letters
  PageTooLarge,       // pages with more pixels than are taken
  PageOutOfTime,      // pages that would have been recognised, had there been time
  PageNotRecognised,  // scanned pages where recognition is off, or failed
  Picture,            // pictures beside a page's text
  Attachment,         // parts of a message that could not be read
  AmbiguousSign,  // signs before a number that recognition can't tell apart: they are read, but not surely
};
std::string_view left_out_name(LeftOut what);

// What a reader did with the parts of a document: for whoever added it, so that no loss is silent.
struct Report {
  // Page numbers that are named; the counts go on.
  static constexpr std::size_t kPagesNamedMax = 200;

  struct Recognised {
    std::uint32_t page = 0;
    int confidence = 0;  // in percent
  };
  struct Part {
    LeftOut what{};
    std::uint64_t count = 0;
    std::vector<std::uint32_t> pages;  // where they are; none: the format has no pages
  };
  std::uint32_t pages = 0;  // 0: the format has none
  std::vector<Recognised> recognised;
  std::vector<Part> left_out;

  void leave_out(LeftOut what, std::uint64_t count, std::uint32_t page = 0);
  std::uint64_t left_out_of(LeftOut what) const;
};

struct Document {
  std::string type, title;
  std::vector<Block> blocks;
  Report report;
};

struct Limits {
  std::size_t text_bytes_max = 16u << 20;
  std::size_t blocks_max = 200'000;
};

// Collects blocks: trims, folds white space, drops control characters and empty ones, keeps within
// the limits.
class DocumentBuilder {
 public:
  DocumentBuilder(std::string type, const Limits& limits) : limits_(limits) {
    document_.type = std::move(type);
  }
  void add(BlockKind kind, std::string_view text, int level = 0, std::uint32_t page = 0);
  void set_title(std::string_view text);
  Report& report() { return document_.report; }
  bool full() const { return full_; }
  const Limits& limits() const { return limits_; }
  // TooLarge when the limits were met; the title falls back to the first heading.
  base::Result<Document> take();

 private:
  Limits limits_;
  Document document_;
  std::size_t bytes_ = 0;
  bool full_ = false;
};

// White space folded to single spaces (newlines too unless `keep_lines`), control characters and
// invisible ones removed, invalid UTF-8 replaced by U+FFFD.
std::string clean_text(std::string_view text, bool keep_lines);

// Appends a character; what is none (a surrogate, NUL, beyond U+10FFFF) as U+FFFD.
void append_utf8(std::string& out, std::uint32_t character);

// Length of the well-formed UTF-8 character at the front of a text that isn't empty, 0 when there is none
// (RFC 3629).
std::size_t utf8_character_bytes(std::string_view text);

// A table's row as one line that stands alone: "Dose: 5 mg; Route: oral". Columns without a header
// give their cell only; empty cells are left out.
std::string row_text(const std::vector<std::string>& header, const std::vector<std::string>& cells);

// Each takes the whole document, the first three as UTF-8. They throw at most std::bad_alloc.
base::Result<Document> extract_text(std::string_view text, const Limits& limits);
base::Result<Document> extract_markdown(std::string_view text, const Limits& limits);
base::Result<Document> extract_html(std::string_view text, const Limits& limits);
base::Result<Document> extract_docx(std::string_view bytes, const Limits& limits);
base::Result<Document> extract_pdf(std::string_view bytes, const Limits& limits);
// Loads what poppler needs from files; before the sandbox.
void prepare_pdf();

// By content first, the name's extension second. Never throws.
base::Result<Document> extract_any(std::string_view name, std::string_view bytes, const Limits& limits);

}  // namespace bulkhead::extract
