// Drawn order to reading order, forms to letters, cut words.
#include "extract/pdf_script.h"

#include <gtest/gtest.h>

namespace bulkhead::extract {
namespace {

// Letters alef, bet, gimel as they are stored; drawn, the last stands left.
TEST(PdfScript, DrawnOrderBecomesReadingOrder) {
  EXPECT_EQ(in_reading_order("left to right (1)"), "left to right (1)");
  EXPECT_EQ(in_reading_order("\u05D2\u05D1\u05D0"), "\u05D0\u05D1\u05D2");
  EXPECT_EQ(in_reading_order("1,250.5 \u05D1\u05D0"), "\u05D0\u05D1 1,250.5");
  EXPECT_EQ(in_reading_order("NDA \u05D2\u05D1\u05D0"), "\u05D0\u05D1\u05D2 NDA");
  EXPECT_EQ(in_reading_order("(\u05D1\u05D0) \u05D2"), "\u05D2 (\u05D0\u05D1)") << "brackets turn";
  EXPECT_EQ(in_reading_order("The word \u05D2\u05D1\u05D0 is here"), "The word \u05D0\u05D1\u05D2 is here");
}

TEST(PdfScript, FormsBecomeLetters) {
  EXPECT_EQ(expand_forms("e\uFB03cient \uFB02ow"), "efficient flow");
  EXPECT_EQ(expand_forms("\uFEF3"), "\u064A") << "a letter at a word's start";
  EXPECT_EQ(expand_forms("\u00BD m\u00B2 \u2265 5"), "\u00BD m\u00B2 \u2265 5") << "what is written stays";
}

TEST(PdfScript, WordsAreCutAtLettersOnly) {
  EXPECT_TRUE(is_cut_word("pre-", "scription"));
  EXPECT_TRUE(is_cut_word("d\u00E9-", "\u00E9crit"));
  EXPECT_TRUE(is_cut_word("pre\u00AD", "scription"));
  EXPECT_FALSE(is_cut_word("10-", "20"));
  EXPECT_FALSE(is_cut_word("10-", "fold"));
  EXPECT_FALSE(is_cut_word("Smith-", "Jones"));
  EXPECT_FALSE(is_cut_word("-", "item"));
  EXPECT_FALSE(is_cut_word("word", "next"));
  EXPECT_FALSE(is_cut_word("pre-", ""));
}

TEST(PdfScript, NoUtf8IsHarmless) {
  for (const char* odd : {"", "\xFF", "\xE2\x82", "\x80\x80"}) {
    EXPECT_NO_THROW(static_cast<void>(in_reading_order(odd)));
    EXPECT_NO_THROW(static_cast<void>(expand_forms(odd)));
    EXPECT_FALSE(is_cut_word(odd, odd));
    EXPECT_FALSE(joins_without_space(odd, odd));
  }
}

}  // namespace
}  // namespace bulkhead::extract
