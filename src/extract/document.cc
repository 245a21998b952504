#include "extract/document.h"

#include <algorithm>
#include <array>

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kTitleBytesMax = 300;

// Characters that a reader doesn't see but a model would: zero width ones and those that turn the
// writing direction.
constexpr std::array<std::string_view, 18> kInvisible = {
    "\u200B", "\u200C", "\u200D", "\u200E", "\u200F", "\u2060", "\uFEFF", "\u00AD", "\u202A",
    "\u202B", "\u202C", "\u202D", "\u202E", "\u2066", "\u2067", "\u2068", "\u2069", "\u061C"};

bool is_invisible(std::string_view character) {
  // U+E0000 to U+E007F, "tags": ASCII that no font draws, known for smuggled instructions.
  if (character.starts_with("\xF3\xA0\x80") || character.starts_with("\xF3\xA0\x81")) return true;
  return std::find(kInvisible.begin(), kInvisible.end(), character) != kInvisible.end();
}

}  // namespace

std::size_t utf8_character_bytes(std::string_view text) {
  auto byte = [&text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 0;
  if (length == 0 || lead > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  bool overlong = (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xF0 && byte(1) < 0x90);
  bool surrogate = lead == 0xED && byte(1) > 0x9F;
  bool beyond = lead == 0xF4 && byte(1) > 0x8F;
  return overlong || surrogate || beyond ? 0 : length;
}

base::ErrorName error_name(ExtractionError code) {
  switch (code) {
    case ExtractionError::Unsupported: return {"extract", "unsupported_file"};
    case ExtractionError::Invalid: return {"extract", "invalid_file"};
    case ExtractionError::Encrypted: return {"extract", "encrypted_file"};
    case ExtractionError::TooLarge: return {"extract", "too_large"};
  }
  return {"extract", "unknown"};
}

std::string_view block_kind_name(BlockKind kind) {
  switch (kind) {
    case BlockKind::Heading: return "heading";
    case BlockKind::Paragraph: return "paragraph";
    case BlockKind::ListItem: return "list_item";
    case BlockKind::TableRow: return "table_row";
    case BlockKind::Code: return "code";
  }
  return "paragraph";
}

std::string_view left_out_name(LeftOut what) {
  switch (what) {
    case LeftOut::HiddenText: return "hidden_text";
    case LeftOut::PageWithoutText: return "page_without_text";
    case LeftOut::PageTooLarge: return "page_too_large";
    case LeftOut::PageOutOfTime: return "page_out_of_time";
    case LeftOut::PageNotRecognised: return "page_not_recognised";
    case LeftOut::Picture: return "picture";
    case LeftOut::Attachment: return "attachment";
    case LeftOut::AmbiguousSign: return "ambiguous_sign";
  }
  return "hidden_text";
}

void Report::leave_out(LeftOut what, std::uint64_t count, std::uint32_t page) {
  if (count == 0) return;
  auto part =
      std::find_if(left_out.begin(), left_out.end(), [&](const Part& each) { return each.what == what; });
  if (part == left_out.end()) part = left_out.insert(left_out.end(), Part{what, 0, {}});
  part->count += count;
  const bool named = !part->pages.empty() && part->pages.back() == page;
  if (page > 0 && !named && part->pages.size() < kPagesNamedMax) part->pages.push_back(page);
}

std::uint64_t Report::left_out_of(LeftOut what) const {
  auto part =
      std::find_if(left_out.begin(), left_out.end(), [&](const Part& each) { return each.what == what; });
  return part == left_out.end() ? 0 : part->count;
}

void append_utf8(std::string& out, std::uint32_t c) {
  if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000) || c == 0) c = 0xFFFD;
  auto continued = [&out, c](int shift) { out += static_cast<char>(0x80 | ((c >> shift) & 63)); };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | (c >> 6));
    continued(0);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | (c >> 12));
    continued(6);
    continued(0);
  } else {
    out += static_cast<char>(0xF0 | (c >> 18));
    continued(12);
    continued(6);
    continued(0);
  }
}

std::string clean_text(std::string_view text, bool keep_lines) {
  std::string out;
  out.reserve(text.size());
  bool space = false;
  bool line = false;
  auto flush = [&] {
    if (line) {
      out += '\n';
    } else if (space && !out.empty() && out.back() != '\n') {
      out += ' ';
    }
    space = line = false;
  };
  while (!text.empty()) {
    std::size_t length = utf8_character_bytes(text);
    std::string_view character = length > 0 ? text.substr(0, length) : std::string_view("\uFFFD");
    text.remove_prefix(std::max<std::size_t>(1, length));
    auto first = static_cast<unsigned char>(character[0]);
    if (character == "\n" && keep_lines) {
      line = !out.empty();
    } else if (first <= 0x20 || first == 0x7F || character == "\u00A0") {
      bool is_space =
          first == ' ' || first == '\t' || first == '\n' || first == '\r' || first == '\f' || first >= 0x80;
      space = space || is_space;
    } else if (character.size() == 2 && first == 0xC2 && static_cast<unsigned char>(character[1]) < 0xA0) {
      continue;  // C1 controls
    } else if (!is_invisible(character)) {
      flush();
      out += character;
    }
  }
  return out;
}

std::string row_text(const std::vector<std::string>& header, const std::vector<std::string>& cells) {
  std::string row;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (cells[i].empty()) continue;
    if (!row.empty()) row += "; ";
    if (i < header.size() && !header[i].empty()) row += header[i] + ": ";
    row += cells[i];
  }
  return row;
}

void DocumentBuilder::add(BlockKind kind, std::string_view text, int level, std::uint32_t page) {
  if (full_) return;
  std::string clean = clean_text(text, kind == BlockKind::Code);
  if (clean.empty()) return;
  if (bytes_ + clean.size() > limits_.text_bytes_max || document_.blocks.size() >= limits_.blocks_max) {
    full_ = true;
    return;
  }
  bytes_ += clean.size();
  document_.blocks.push_back({kind, level, std::move(clean), page});
}

void DocumentBuilder::set_title(std::string_view text) {
  if (!document_.title.empty()) return;
  document_.title = clean_text(text, false);
  if (document_.title.size() <= kTitleBytesMax) return;
  std::size_t end = kTitleBytesMax;
  while (end > 0 && (static_cast<unsigned char>(document_.title[end]) & 0xC0) == 0x80) --end;
  document_.title.resize(end);
}

Result<Document> DocumentBuilder::take() {
  if (full_) {
    return Error(ExtractionError::TooLarge, "The document holds more text than is taken. Split it.");
  }
  if (document_.title.empty()) {
    auto heading = std::find_if(document_.blocks.begin(), document_.blocks.end(),
                                [](const Block& block) { return block.kind == BlockKind::Heading; });
    if (heading != document_.blocks.end()) set_title(heading->text);
  }
  return std::move(document_);
}

}  // namespace bulkhead::extract
