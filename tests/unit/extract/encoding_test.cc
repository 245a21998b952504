// Texts and pages in the encodings that people have.
#include "extract/encoding.h"

#include <gtest/gtest.h>

#include <string>

#include "support.h"

namespace bulkhead::extract {
namespace {

// Bytes of an ASCII text in units of `width` bytes, without a mark.
std::string wide(const std::string& text, std::size_t width, bool big_endian) {
  std::string out;
  for (char c : text) {
    std::string unit(width, '\0');
    unit[big_endian ? width - 1 : 0] = c;
    out += unit;
  }
  return out;
}

std::string text_of(const std::string& bytes) {
  auto text = text_to_utf8(bytes);
  return text ? *text : "error " + std::string(text.error().name().code);
}

std::string page_of(const std::string& bytes) {
  auto text = html_to_utf8(bytes);
  return text ? *text : "error " + std::string(text.error().name().code);
}

TEST(Encoding, WideCharactersWithAndWithoutAMark) {
  const std::string text = "The rent is 500 euros.\n";
  for (std::size_t width : {2u, 4u}) {
    for (bool big : {false, true}) {
      EXPECT_EQ(text_of(wide(text, width, big)), text) << width << big;
      std::string mark(width, '\0');
      mark[big ? width - 2 : 0] = big ? '\xFE' : '\xFF';
      mark[big ? width - 1 : 1] = big ? '\xFF' : '\xFE';
      EXPECT_EQ(text_of(mark + wide(text, width, big)), text) << width << big;
    }
  }
}

TEST(Encoding, OneBadByteCostsOneCharacter) {
  EXPECT_EQ(outline(extract_any("a.txt", "Herr M\u00fcller wohnt in K\u00f6ln.\n\xFC ende", Limits{})),
            "paragraph: Herr M\u00fcller wohnt in K\u00f6ln. \uFFFD ende\n");
}

TEST(Encoding, CodePagesAreToldByTheirLetters) {
  // "Договор аренды квартиры заключается на один год и может быть продлён." in Windows-1251.
  const std::string russian =
      "\xC4\xEE\xE3\xEE\xE2\xEE\xF0 \xE0\xF0\xE5\xED\xE4\xFB \xEA\xE2\xE0\xF0\xF2\xE8\xF0\xFB "
      "\xE7\xE0\xEA\xEB\xFE\xF7\xE0\xE5\xF2\xF1\xFF \xED\xE0 \xEE\xE4\xE8\xED \xE3\xEE\xE4 \xE8 "
      "\xEC\xEE\xE6\xE5\xF2 \xE1\xFB\xF2\xFC \xEF\xF0\xEE\xE4\xEB\xB8\xED.";
  EXPECT_EQ(text_of(russian), "Договор аренды квартиры заключается на один год и может быть продлён.");
  EXPECT_EQ(text_of("Der Mieter zahlt f\xFCr die M\xF6"
                    "bel in Stra\xDF"
                    "e 5."),
            "Der Mieter zahlt für die Möbel in Straße 5.");
  // Shift-JIS: 賃貸借契約書です。この契約の期間は三年とする。
  const std::string japanese =
      "\x92\xC0\x91\xDD\x8E\xD8\x8C\x5F\x96\xF1\x8F\x91\x82\xC5\x82\xB7\x81\x42\x82\xB1\x82\xCC\x8C\x5F"
      "\x96\xF1\x82\xCC\x8A\xFA\x8A\xD4\x82\xCD\x8E\x4F\x94\x4E\x82\xC6\x82\xB7\x82\xE9\x81\x42";
  EXPECT_EQ(text_of(japanese), "賃貸借契約書です。この契約の期間は三年とする。");
  // GB18030: 合同期限三年，租金每月五百欧元。本合同一式两份。
  const std::string chinese =
      "\xBA\xCF\xCD\xAC\xC6\xDA\xCF\xDE\xC8\xFD\xC4\xEA\xA3\xAC\xD7\xE2\xBD\xF0\xC3\xBF\xD4\xC2\xCE\xE5"
      "\xB0\xD9\xC5\xB7\xD4\xAA\xA1\xA3\xB1\xBE\xBA\xCF\xCD\xAC\xD2\xBB\xCA\xBD\xC1\xBD\xB7\xDD\xA1\xA3";
  EXPECT_EQ(text_of(chinese), "合同期限三年，租金每月五百欧元。本合同一式两份。");
}

TEST(Encoding, WhatCantBeToldIsRefusedWithTheWayOut) {
  auto text = text_to_utf8("\xC4\xEE\xE3\xEE\xE2");
  ASSERT_FALSE(text);
  EXPECT_NE(text.error().message().find("Save it as UTF-8"), std::string::npos);
  EXPECT_EQ(text_of(std::string("a\0b\xFF\xFE", 5)), "error unsupported_file");
}

TEST(Encoding, PagesAreReadAsTheyDeclare) {
  const std::string word = "\xC4\xEE\xE3\xEE\xE2\xEE\xF0";
  EXPECT_EQ(page_of("<meta charset=\"windows-1251\"><p>" + word),
            "<meta charset=\"windows-1251\"><p>Договор");
  EXPECT_NE(page_of("<META http-equiv=Content-Type content='text/html; charset=windows-1251'>" + word)
                .find("Договор"),
            std::string::npos);
  EXPECT_NE(page_of("<?xml version='1.0' encoding='windows-1251'?><html>" + word).find("Договор"),
            std::string::npos);
  // ISO-2022-JP is ASCII to the eye: 日本.
  EXPECT_NE(page_of("<meta charset=iso-2022-jp>\x1B$BF|K\\\x1B(B").find("日本"), std::string::npos);
  EXPECT_NE(page_of("<meta charset=iso-8859-1>\x80").find("\u20AC"), std::string::npos);
}

TEST(Encoding, AWrongDeclarationDoesNoHarm) {
  EXPECT_NE(page_of("<meta charset=iso-8859-1>K\u00f6ln").find("K\u00f6ln"), std::string::npos);
  // UTF-7 would turn harmless bytes into markup.
  EXPECT_NE(page_of("<meta charset=utf-7>+ADw-script+AD4-").find("+ADw-script"), std::string::npos);
  EXPECT_EQ(page_of("<meta charset=utf-16le>abc"), "<meta charset=utf-16le>abc");
  EXPECT_EQ(page_of("<meta charset=no-such>abc"), "<meta charset=no-such>abc");
}

}  // namespace
}  // namespace bulkhead::extract
