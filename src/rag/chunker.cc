#include "rag/chunker.h"

#include <algorithm>

namespace bulkhead::rag {

namespace {

constexpr std::size_t kTargetBytes = 700;   // about 115 English words
constexpr std::size_t kTinyBytes = 160;     // a piece this small takes more even beyond the target
constexpr std::size_t kPathBytesMax = 200;  // of title and headings, before what the piece says
constexpr std::string_view kSeparator = "\n\n";

// A stretch of one block, with its place in the whole text.
struct Span {
  std::string_view text;
  std::uint32_t begin = 0;
  std::uint32_t page = 0;
  bool is_heading = false;
};

bool is_space(char c) { return c == ' ' || c == '\n'; }

bool ends_sentence(std::string_view text, std::size_t end) {
  return end > 0 && std::string_view(".?!;:").find(text[end - 1]) != std::string_view::npos;
}

// Where to cut `text` so that the head has at most `limit` bytes: the last border of blocks, else of
// sentences, else of words in the limit's second half, else the limit (never inside a character).
// Needs 0 < limit < text.size().
std::size_t cut_before(std::string_view text, std::size_t limit) {
  std::size_t word = 0, sentence = 0;
  for (std::size_t i = limit; i > limit / 2; --i) {
    if (!is_space(text[i])) continue;
    if (text.substr(i).starts_with(kSeparator)) return i;
    if (sentence == 0 && ends_sentence(text, i)) sentence = i;
    if (word == 0) word = i;
  }
  if (sentence > 0) return sentence;
  if (word > 0) return word;
  auto inside_character = [text](std::size_t at) {
    return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;
  };
  std::size_t cut = limit;
  while (cut > 0 && inside_character(cut)) --cut;
  // The first character is longer than the limit: it goes whole.
  if (cut == 0) cut = limit;
  while (inside_character(cut)) ++cut;
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

  // A heading: what was open under the one before is finished, unless that has nothing but headings.
  void section(const std::string& path) {
    if (!only_headings_) flush();
    heading_ = path;
  }

  void add(Span span) {
    if (!fits(span.text.size(), open_.text.size() > kTinyBytes ? kTargetBytes : kPieceBytesMax) &&
        !only_headings_) {
      flush();
    }
    while (!fits(span.text.size(), kPieceBytesMax)) {
      if (room() < kTinyBytes) {
        flush();
        continue;
      }
      std::size_t cut = cut_before(span.text, std::min(room(), kTargetBytes));
      Span head = span;
      head.text = span.text.substr(0, cut);
      append(head);
      flush();
      while (cut < span.text.size() && is_space(span.text[cut])) ++cut;
      span.text.remove_prefix(cut);
      span.begin += static_cast<std::uint32_t>(cut);
    }
    if (!span.text.empty()) append(span);
  }

  void flush() {
    only_headings_ = true;
    if (open_.text.empty()) return;
    open_.heading = heading_;
    out_.push_back(std::move(open_));
    open_ = {};
  }

 private:
  std::size_t joined_bytes() const { return open_.text.empty() ? 0 : open_.text.size() + kSeparator.size(); }
  bool fits(std::size_t bytes, std::size_t most) const { return joined_bytes() + bytes <= most; }
  std::size_t room() const { return kPieceBytesMax - std::min(kPieceBytesMax, joined_bytes()); }

  void append(const Span& span) {
    if (open_.text.empty()) {
      open_.begin = span.begin;
      open_.page = span.page;
    } else {
      open_.text += kSeparator;
    }
    open_.text += span.text;
    open_.end = span.begin + static_cast<std::uint32_t>(span.text.size());
    only_headings_ = only_headings_ && span.is_heading;
  }

  std::vector<PieceOfText>& out_;
  PieceOfText open_;
  std::string heading_;
  bool only_headings_ = true;  // of the open piece
};

}  // namespace

std::vector<PieceOfText> chunk_document(const ExtractedDocument& document) {
  std::vector<PieceOfText> pieces;
  Cutter cutter(pieces);
  HeadingPath headings;
  std::uint32_t at = 0;
  for (const Block& block : document.blocks) {
    bool is_heading = block.kind == Block::Kind::Heading;
    if (is_heading) {
      headings.enter(std::max(1, block.level), block.text);
      cutter.section(headings.text());
    }
    // A heading's words are searched for too: it opens its section's first piece.
    cutter.add({block.text, at, block.page, is_heading});
    at += static_cast<std::uint32_t>(block.text.size() + kSeparator.size());
  }
  cutter.flush();
  return pieces;
}

std::string embedding_text(const std::string& title, const PieceOfText& piece) {
  std::string text = title;
  if (!piece.heading.empty() && piece.heading != title) text += (text.empty() ? "" : " > ") + piece.heading;
  if (text.size() > kPathBytesMax) text.resize(cut_before(text, kPathBytesMax));
  return text.empty() ? piece.text : text + "\n" + piece.text;
}

std::vector<PieceOfText> split_piece(const PieceOfText& piece) {
  if (piece.text.size() < 2) return {piece};
  std::size_t cut = cut_before(piece.text, std::max<std::size_t>(1, piece.text.size() * 2 / 3));
  std::size_t next = cut;
  while (next < piece.text.size() && is_space(piece.text[next])) ++next;
  if (next == piece.text.size()) return {piece};
  PieceOfText head = piece, tail = piece;
  head.text = piece.text.substr(0, cut);
  tail.text = piece.text.substr(next);
  head.end = piece.begin + static_cast<std::uint32_t>(cut);
  tail.begin = piece.begin + static_cast<std::uint32_t>(next);
  return {head, tail};
}

}  // namespace bulkhead::rag
