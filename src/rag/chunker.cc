#include "rag/chunker.h"

#include <algorithm>

namespace bulkhead::rag {

namespace {

constexpr std::size_t kTargetBytes = 700;   // about 115 English words
constexpr std::size_t kBytesMax = 1'000;
constexpr std::size_t kTinyBytes = 160;     // a section this small joins its neighbour
constexpr std::string_view kSeparator = "\n\n";

// A stretch of one block, with its place in the whole text.
struct Span {
  std::string_view text;
  std::uint32_t begin = 0;
  std::uint32_t page = 0;
  Block::Kind kind = Block::Kind::Paragraph;
};

// The end of the last sentence that begins before `limit`, else of the last word, else `limit` (never
// inside a UTF-8 character).
std::size_t cut_before(std::string_view text, std::size_t limit) {
  std::size_t word = 0;
  for (std::size_t i = std::min(limit, text.size() - 1); i > limit / 2; --i) {
    if (text[i] != ' ' && text[i] != '\n') continue;
    if (word == 0) word = i;
    char before = text[i - 1];
    if (before == '.' || before == '?' || before == '!' || before == ';' || before == ':') return i;
  }
  if (word > 0) return word;
  std::size_t cut = std::min(limit, text.size());
  while (cut > 1 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
  return cut;
}

// Headings above the current place, outermost first.
class HeadingPath {
 public:
  void enter(int level, const std::string& text) {
    while (!path_.empty() && path_.back().first >= level) path_.pop_back();
    path_.emplace_back(level, text);
  }
  std::string text() const {
    std::string joined;
    for (const auto& [level, heading] : path_) joined += (joined.empty() ? "" : " > ") + heading;
    return joined;
  }

 private:
  std::vector<std::pair<int, std::string>> path_;
};

class Cutter {
 public:
  explicit Cutter(std::vector<PieceOfText>& out) : out_(out) {}

  void add(Span span) {
    while (span.text.size() > kBytesMax) {
      std::size_t cut = cut_before(span.text, kTargetBytes);
      Span head = span;
      head.text = span.text.substr(0, cut);
      append(head);
      span.text.remove_prefix(cut);
      span.begin += static_cast<std::uint32_t>(cut);
      while (!span.text.empty() && span.text.front() == ' ') {
        span.text.remove_prefix(1);
        ++span.begin;
      }
    }
    if (!span.text.empty()) append(span);
  }

  void section(const std::string& heading) {
    // A tiny rest goes on under the new heading only when nothing else of its own section stands.
    flush();
    heading_ = heading;
  }

  void flush() {
    if (open_.text.empty()) return;
    open_.heading = heading_;
    out_.push_back(std::move(open_));
    open_ = {};
  }

 private:
  void append(const Span& span) {
    // A list stays with its lead-in, a table's rows with each other, as long as they fit.
    if (!open_.text.empty() && open_.text.size() + span.text.size() > kTargetBytes &&
        open_.text.size() > kTinyBytes) {
      flush();
    }
    if (open_.text.empty()) {
      open_.begin = span.begin;
      open_.page = span.page;
    } else {
      open_.text += '\n';
    }
    open_.text += span.text;
    open_.end = span.begin + static_cast<std::uint32_t>(span.text.size());
  }

  std::vector<PieceOfText>& out_;
  PieceOfText open_;
  std::string heading_;
};

}  // namespace

std::vector<PieceOfText> chunk_document(const ExtractedDocument& document) {
  std::vector<PieceOfText> pieces;
  Cutter cutter(pieces);
  HeadingPath headings;
  std::uint32_t at = 0;
  for (const Block& block : document.blocks) {
    if (block.kind == Block::Kind::Heading) {
      headings.enter(std::max(1, block.level), block.text);
      cutter.section(headings.text());
    }
    // A heading's words are searched for too: it opens its section's first piece.
    cutter.add({block.text, at, block.page, block.kind});
    at += static_cast<std::uint32_t>(block.text.size() + kSeparator.size());
  }
  cutter.flush();
  return pieces;
}

std::string embedding_text(const std::string& title, const PieceOfText& piece) {
  std::string text = title;
  if (!piece.heading.empty() && piece.heading != title) text += (text.empty() ? "" : " > ") + piece.heading;
  // Long heading paths must not crowd out what the piece says.
  if (text.size() > 200) text.resize(cut_before(text, 200));
  return text.empty() ? piece.text : text + "\n" + piece.text;
}

std::vector<PieceOfText> split_piece(const PieceOfText& piece) {
  if (piece.text.size() < 2) return {piece};
  std::size_t cut = cut_before(piece.text, piece.text.size() * 2 / 3);
  if (cut == 0 || cut >= piece.text.size()) return {piece};
  PieceOfText head = piece, tail = piece;
  head.text = piece.text.substr(0, cut);
  std::size_t next = cut;
  while (next < piece.text.size() && (piece.text[next] == ' ' || piece.text[next] == '\n')) ++next;
  tail.text = piece.text.substr(next);
  if (tail.text.empty()) return {piece};
  // Blocks inside a piece are joined by one newline and by two in the document, so the middle is
  // exact to a few bytes; both halves lie within the piece.
  head.end = std::min(piece.end, piece.begin + static_cast<std::uint32_t>(cut));
  tail.begin = head.end;
  return {head, tail};
}

}  // namespace bulkhead::rag
