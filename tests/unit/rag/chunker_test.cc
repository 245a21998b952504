#include "rag/chunker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

namespace bulkhead::rag {
namespace {

Block heading(int level, std::string text) { return {Block::Kind::Heading, level, std::move(text), 0}; }
Block paragraph(std::string text, std::uint32_t page = 0) {
  return {Block::Kind::Paragraph, 0, std::move(text), page};
}

std::string sentences(std::size_t bytes,
                      const std::string& sentence = "The ward keeps its own record of each dose. ") {
  std::string text;
  while (text.size() < bytes) text += sentence;
  text.pop_back();
  return text;
}

std::string whole_text(const ExtractedDocument& document) {
  std::string whole;
  for (const Block& block : document.blocks) whole += (whole.empty() ? "" : "\n\n") + block.text;
  return whole;
}

bool is_character_border(const std::string& text, std::size_t at) {
  return at >= text.size() || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
}

void expect_exact(const std::string& whole, const PieceOfText& piece) {
  ASSERT_LE(piece.begin, piece.end);
  ASSERT_LE(piece.end, whole.size());
  EXPECT_EQ(piece.text, whole.substr(piece.begin, piece.end - piece.begin));
  EXPECT_LE(piece.text.size(), kPieceBytesMax);
  EXPECT_TRUE(is_character_border(whole, piece.begin));
  EXPECT_TRUE(is_character_border(whole, piece.end));
}

TEST(Chunker, AnEmptyDocumentHasNoPieces) { EXPECT_TRUE(chunk_document({}).empty()); }

TEST(Chunker, SectionsAreApartAndKnowTheirPath) {
  ExtractedDocument document{"text",
                             "Protocol",
                             {heading(1, "Protocol"), heading(2, "Dose"), paragraph("60 mg once a day."),
                              heading(2, "Supply"), paragraph("One cycle at a time.")}};
  auto pieces = chunk_document(document);
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(pieces[0].text, "Protocol\n\nDose\n\n60 mg once a day.");
  EXPECT_EQ(pieces[0].heading, "Protocol > Dose");
  EXPECT_EQ(pieces[1].text, "Supply\n\nOne cycle at a time.");
  EXPECT_EQ(pieces[1].heading, "Protocol > Supply");
}

TEST(Chunker, HeadingsAtTheEndAreKept) {
  auto pieces = chunk_document({"text", "", {paragraph("Text."), heading(1, "Annex")}});
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(pieces[1].text, "Annex");
}

TEST(Chunker, LongParagraphsAreCutAtSentences) {
  auto pieces = chunk_document({"text", "", {paragraph(sentences(3'000))}});
  ASSERT_GE(pieces.size(), 4u);
  for (const PieceOfText& piece : pieces) {
    EXPECT_EQ(piece.text.back(), '.');
    EXPECT_TRUE(piece.text.starts_with("The ward"));
  }
}

TEST(Chunker, ShortBlocksShareAPieceUpToTheTarget) {
  ExtractedDocument document;
  for (int i = 0; i < 30; ++i) document.blocks.push_back(paragraph(sentences(100)));
  auto pieces = chunk_document(document);
  EXPECT_LE(pieces.size(), 8u);
  EXPECT_GE(pieces.size(), 4u);
}

TEST(Chunker, PagesFollowTheFirstBlock) {
  auto pieces = chunk_document({"pdf", "", {paragraph(sentences(600), 1), paragraph(sentences(600), 2)}});
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(pieces[0].page, 1u);
  EXPECT_EQ(pieces[1].page, 2u);
}

// Documents of random structure, with characters of one to four bytes and without any space.
ExtractedDocument random_document(std::mt19937& random) {
  static const std::string kWords[] = {"a",          "dose",   "\u00e9t\u00e9.", "\u20ac5;",
                                       "\U0001F489", "liver?", "monitoring",     "x:"};
  auto below = [&random](unsigned n) { return std::uniform_int_distribution<unsigned>(0, n - 1)(random); };
  ExtractedDocument document;
  for (unsigned i = below(12); i > 0; --i) {
    std::string text;
    bool spaced = below(5) != 0;
    for (unsigned words = 1 + below(below(4) == 0 ? 600 : 30); words > 0; --words) {
      text += kWords[below(8)];
      if (spaced && words > 1) text += below(40) == 0 ? "\n" : " ";
    }
    document.blocks.push_back(
        {static_cast<Block::Kind>(below(5)), static_cast<int>(below(8)), text, below(9)});
  }
  return document;
}

TEST(Chunker, PiecesOfAnyDocumentAreExactBoundedAndLoseNothing) {
  std::mt19937 random(7);
  for (int round = 0; round < 2'000; ++round) {
    ExtractedDocument document = random_document(random);
    std::string whole = whole_text(document);
    std::size_t at = 0;
    for (const PieceOfText& piece : chunk_document(document)) {
      expect_exact(whole, piece);
      ASSERT_GE(piece.begin, at);
      // Nothing but white space lies between pieces.
      EXPECT_EQ(whole.substr(at, piece.begin - at).find_first_not_of(" \n"), std::string::npos);
      at = piece.end;
    }
    EXPECT_EQ(whole.substr(at).find_first_not_of(" \n"), std::string::npos);
  }
}

TEST(Chunker, HalvesOfAPieceAreExactDownToSingleCharacters) {
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    ExtractedDocument document = random_document(random);
    std::string whole = whole_text(document);
    std::vector<PieceOfText> pieces = chunk_document(document);
    for (int depth = 0; depth < 12; ++depth) {
      std::vector<PieceOfText> next;
      for (const PieceOfText& piece : pieces) {
        auto halves = split_piece(piece);
        ASSERT_TRUE(halves.size() == 1 || halves.size() == 2);
        for (PieceOfText& half : halves) {
          expect_exact(whole, half);
          EXPECT_FALSE(half.text.empty());
          EXPECT_EQ(half.heading, piece.heading);
          next.push_back(std::move(half));
        }
      }
      pieces = std::move(next);
    }
  }
}

TEST(Chunker, SplitsAtASentenceNearTheMiddle) {
  PieceOfText piece{"One two three four. Five six seven eight.", "H", 3, 10, 51};
  auto halves = split_piece(piece);
  ASSERT_EQ(halves.size(), 2u);
  EXPECT_EQ(halves[0].text, "One two three four.");
  EXPECT_EQ(halves[1].text, "Five six seven eight.");
  EXPECT_EQ(halves[1].begin, 30u);
  EXPECT_EQ(halves[1].end, 51u);
  EXPECT_EQ(halves[1].page, 3u);
}

TEST(Chunker, EmbeddingTextSaysWhereThePieceStands) {
  PieceOfText piece{"60 mg.", "Protocol > Dose", 0, 0, 6};
  EXPECT_EQ(embedding_text("Veltrane", piece), "Veltrane > Protocol > Dose\n60 mg.");
  EXPECT_EQ(embedding_text("", {"60 mg.", "", 0, 0, 6}), "60 mg.");
  EXPECT_EQ(embedding_text("Dose", {"60 mg.", "Dose", 0, 0, 6}), "Dose\n60 mg.");
}

TEST(Chunker, EmbeddingTextBoundsThePathWithoutBreakingACharacter) {
  std::string title;
  for (int i = 0; i < 300; ++i) title += "\u00e9";
  std::string text = embedding_text(title, {"60 mg.", "", 0, 0, 6});
  EXPECT_LE(text.size(), 210u);
  EXPECT_TRUE(is_character_border(text, text.find('\n')));
  EXPECT_EQ(text.find('\n') % 2, 0u);
}

}  // namespace
}  // namespace bulkhead::rag
