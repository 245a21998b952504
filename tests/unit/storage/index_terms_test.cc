#include "storage/index_terms.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "storage/term_hits.h"

namespace bulkhead::storage {
namespace {

std::vector<std::string> terms(std::string_view text) { return special_terms(normalized(text), 1'000); }

// Whether a document with `text` is found by the terms of a question.
bool finds(std::string_view question, std::string_view text) {
  const auto in_text = terms(text);
  const auto wanted = terms(question);
  return std::any_of(wanted.begin(), wanted.end(), [&](const std::string& term) {
    return std::find(in_text.begin(), in_text.end(), term) != in_text.end();
  });
}

TEST(IndexTerms, PlainWordsHaveNone) {
  EXPECT_TRUE(terms("The patient may go home; see the ward's protocol.").empty());
  EXPECT_TRUE(terms("").empty());
  EXPECT_TRUE(special_terms("\xFF\xFE broken", 10).empty());
}

TEST(IndexTerms, NumbersAreFoundAsTheyAreWrittenAndNoOthers) {
  EXPECT_TRUE(finds("12.5", "a dose of 12.5 mg"));
  EXPECT_FALSE(finds("12.5", "a dose of 125 mg"));
  EXPECT_FALSE(finds("12.5", "a dose of 12 or 5 mg"));
  EXPECT_TRUE(finds("12.5mg", "12.5 mg")) << "with and without the space";
  EXPECT_TRUE(finds("12.5 mg", "12.5mg"));
  EXPECT_FALSE(finds("12 mg", "12 ml"));
  EXPECT_TRUE(finds("1,000.50", "EUR 1,000.50 a month"));
  EXPECT_TRUE(finds("\uFF11\uFF12.\uFF15 mg", "12.5 mg")) << "full-width digits";
  EXPECT_TRUE(finds("25 \u00B5g", "25 \u03BCg")) << "the micro sign and the Greek letter";
  EXPECT_TRUE(finds("5 m\u00B2", "an area of 5 m2"));
}

TEST(IndexTerms, ComparisonsGoWithTheirNumber) {
  EXPECT_TRUE(finds("\u2265 90", "a pulse \u226590 a minute"));
  EXPECT_TRUE(finds(">= 90", "a pulse \u2265 90"));
  EXPECT_FALSE(finds("\u2265 90", "a pulse \u2264 90"));
  EXPECT_FALSE(finds("\u2265 90", "a pulse of 90"));
}

TEST(IndexTerms, CodesAreFoundWithTheirMarks) {
  EXPECT_TRUE(finds("A-1043/22", "file A-1043/22 of the court"));
  EXPECT_TRUE(finds("A\u20111043/22", "file A-1043/22")) << "a hyphen that does not break";
  EXPECT_TRUE(finds("5-FU", "treated with 5-FU"));
  EXPECT_TRUE(finds("I10.9", "diagnosis I10.9"));
  EXPECT_FALSE(finds("I10.9", "diagnosis I109"));
  EXPECT_TRUE(finds("DE89 3704 0044 0532 0130 00", "paid to DE89 3704 0044 0532 0130 00"));
  EXPECT_TRUE(finds("030 123 4567", "call 030-123-4567"));
}

TEST(IndexTerms, ScriptsWithoutSpacesAreFoundByPairs) {
  EXPECT_TRUE(finds("\u7cd6\u5c3f\u75c5", "\u60a3\u8005\u6709\u7cd6\u5c3f\u75c5\u53f2")) << "Chinese";
  EXPECT_FALSE(finds("\u7cd6\u5c3f\u75c5", "\u60a3\u8005\u6709\u9ad8\u8840\u538b"));
  EXPECT_TRUE(finds("\u6d77\u8fba\u3067", "\u6d77\u8fba\u306e\u8a3a\u7642\u6240")) << "Japanese";
  EXPECT_TRUE(
      finds("\u0e42\u0e23\u0e04",
            "\u0e1c\u0e39\u0e49\u0e1b\u0e48\u0e27\u0e22\u0e42\u0e23\u0e04\u0e2b\u0e31\u0e27\u0e43\u0e08"))
      << "Thai";
  EXPECT_TRUE(finds("\uD658\uC790", "\uD658\uC790\uB294 \uD1F4\uC6D0\uD588\uB2E4"))
      << "Korean, with a particle";
  EXPECT_TRUE(is_unspaced("\u7cd6\u5c3f\u75c5"));
  EXPECT_FALSE(is_unspaced("word"));
}

TEST(IndexTerms, HebrewAndArabicWordsAreFoundWithoutPrefixesAndMarks) {
  const std::string the_contract = "\u05D4\u05D7\u05D5\u05D6\u05D4", contract = "\u05D7\u05D5\u05D6\u05D4";
  const auto stems = terms(the_contract);
  EXPECT_NE(std::find(stems.begin(), stems.end(), contract), stems.end());
  const auto arabic = terms("\u0627\u0644\u0639\u0642\u062F");
  EXPECT_NE(std::find(arabic.begin(), arabic.end(), "\u0639\u0642\u062F"), arabic.end());
  const auto marked = terms("\u05D7\u05B9\u05D6\u05B6\u05D4");
  EXPECT_NE(std::find(marked.begin(), marked.end(), "\u05D7\u05D6\u05D4"), marked.end());
}

TEST(IndexTerms, TheTextStaysInFrontOfItsTerms) {
  EXPECT_TRUE(index_text("Give 12.5\u00A0mg.").starts_with("Give 12.5 mg. "));
  EXPECT_EQ(index_text("plain words"), "plain words");
  EXPECT_EQ(special_terms("1.1 2.2 3.3 4.4", 3).size(), 3u) << "bounded";
}

base::Bytes hits(std::uint32_t words, std::vector<std::uint32_t> counts) {
  counts.insert(counts.begin(), words);
  const auto* data = reinterpret_cast<const std::uint8_t*>(counts.data());
  return base::Bytes(data, data + counts.size() * sizeof(std::uint32_t));
}

TEST(TermRanking, RareWordsAndShortRowsCountMore) {
  TermRanking ranking;
  EXPECT_TRUE(ranking.add(1, hits(10, {1, 0})));
  EXPECT_TRUE(ranking.add(2, hits(10, {0, 1})));
  EXPECT_TRUE(ranking.add(3, hits(10, {1, 0})));
  EXPECT_TRUE(ranking.add(4, hits(100, {1, 0})));
  const auto best = ranking.best(100, 10);
  ASSERT_EQ(best.size(), 4u);
  EXPECT_EQ(best[0].key, 2) << "only one row has the second word";
  EXPECT_EQ(best[1].key, 1) << "equal ones by their key";
  EXPECT_EQ(best[2].key, 3);
  EXPECT_EQ(best[3].key, 4) << "the long row";
  EXPECT_EQ(ranking.best(100, 2).size(), 2u);
  EXPECT_TRUE(TermRanking().best(100, 2).empty());
}

TEST(TermRanking, WhatIsNoCountIsRefused) {
  TermRanking ranking;
  EXPECT_FALSE(ranking.add(1, {}));
  EXPECT_FALSE(ranking.add(1, base::Bytes(5, 0)));
  EXPECT_TRUE(ranking.add(1, hits(3, {1})));
  EXPECT_FALSE(ranking.add(2, hits(3, {1, 1})));
}

}  // namespace
}  // namespace bulkhead::storage
