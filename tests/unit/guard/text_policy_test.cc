// What text may enter. AISVS 2.1: normalised, valid, without control characters or smuggled bits.
#include "guard/text_policy.h"

#include <gtest/gtest.h>

namespace bulkhead::guard {
namespace {

std::string cleaned(std::string_view text) {
  auto checked = check_text(text, SmugglingPolicy::Clean);
  EXPECT_TRUE(checked) << text;
  return checked ? checked->text : "";
}
TextFindings findings(std::string_view text) {
  auto checked = check_text(text, SmugglingPolicy::Mark);
  EXPECT_TRUE(checked) << text;
  return checked ? checked->findings : TextFindings{};
}
// By the three policies: removed, kept but counted, refused.
void expect_smuggled(std::string_view text, std::string_view clean) {
  EXPECT_EQ(cleaned(text), clean);
  auto marked = check_text(text, SmugglingPolicy::Mark);
  ASSERT_TRUE(marked);
  EXPECT_EQ(marked->text, text) << "control: without cleaning it stays";
  EXPECT_TRUE(marked->findings.suspicious()) << text;
  auto refused = check_text(text, SmugglingPolicy::Refuse);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(GuardError::Smuggling));
}
void expect_untouched(std::string_view text) {
  EXPECT_EQ(cleaned(text), text);
  EXPECT_FALSE(findings(text).suspicious()) << text;
  EXPECT_TRUE(check_text(text, SmugglingPolicy::Refuse)) << text;
}

TEST(TextPolicy, PlainTextPassesAsItIs) {
  for (std::string_view text : {"", "Which dose of Veltrane?", "tab\tand\nlines\r\n", "Ünïcödé",
                                "Привет, мир", "Ελληνικά", "日本語", "العربية", "😀"}) {
    expect_untouched(text);
  }
}

TEST(TextPolicy, AisvsV2_1_1_TextIsNormalisedToFormC) {
  EXPECT_EQ(cleaned("Cafe\u0301"), "Caf\u00E9");
  EXPECT_EQ(cleaned("\u1100\u1161\u11A8"), "\uAC01") << "Hangul";
  EXPECT_EQ(cleaned("\u212B"), "\u00C5") << "Angstrom sign";
  EXPECT_EQ(cleaned("a\u0323\u0307"), cleaned("a\u0307\u0323")) << "order of marks";
  EXPECT_EQ(cleaned("\uFB01"), "\uFB01") << "compatibility forms stay: they are another text";
}

TEST(TextPolicy, AisvsV2_1_2_ControlCharactersAreRefused) {
  for (int c = 0; c < 0xA0; ++c) {
    bool control = (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c >= 0x7F;
    std::string text = "a";
    if (c < 0x80) {
      text += static_cast<char>(c);
    } else {
      text += '\xC2';
      text += static_cast<char>(c);
    }
    for (const std::string& around : {text, text + "\u00E9"}) {
      auto checked = check_text(around, SmugglingPolicy::Clean);
      EXPECT_EQ(checked.ok(), !control) << c;
      if (!checked) {
        EXPECT_TRUE(checked.error().is(GuardError::ControlCharacter));
      }
    }
  }
}

TEST(TextPolicy, AisvsV2_1_2_WhatIsNotUtf8IsRefused) {
  for (std::string_view text :
       {"\xFF", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "a\xE2\x82", "\x80"}) {
    auto checked = check_text(text, SmugglingPolicy::Clean);
    ASSERT_FALSE(checked);
    EXPECT_TRUE(checked.error().is(GuardError::NotUtf8));
    EXPECT_FALSE(checked.error().message().empty());
  }
}

TEST(TextPolicy, AisvsV2_1_5_ZeroWidthCharactersAreSmuggling) {
  for (std::string_view hidden : {"\u200B", "\u200C", "\u200D", "\u2060", "\uFEFF", "\u00AD"}) {
    expect_smuggled("pass" + std::string(hidden) + "word", "password");
    EXPECT_EQ(findings("a" + std::string(hidden) + "b").zero_width, 1u);
  }
}

TEST(TextPolicy, JoinersStayWhereTheyJoin) {
  expect_untouched("\U0001F468\u200D\U0001F469\u200D\U0001F467");        // family
  expect_untouched("\u2764\uFE0F\u200D\U0001F525");                      // heart on fire
  expect_untouched("\u0915\u094D\u200D\u0937");                          // Devanagari half form
  expect_untouched("\u0645\u06CC\u200C\u062E\u0648\u0627\u0647\u0645");  // Persian
}

// Joiners one after another are ones and zeros, not writing.
TEST(TextPolicy, AisvsV2_1_5_RunsOfJoinersAreSmuggling) {
  expect_smuggled("a\u200D\u200C\u200D\u200C\u200Db", "ab");
  expect_smuggled("\u65E5\u200D\u200C\u200D\u672C", "\u65E5\u672C");
  expect_smuggled("\u200B\u200D\u65E5", "\u65E5");
  EXPECT_EQ(findings("a\u200D\u200C\u200D\u200C\u200Db").zero_width, 5u);
}

TEST(TextPolicy, AisvsV2_1_5_BidiControlsAreSmuggling) {
  for (std::string_view hidden :
       {"\u202A", "\u202B", "\u202C", "\u202D", "\u202E", "\u2066", "\u2067", "\u2068", "\u2069"}) {
    expect_smuggled("abc" + std::string(hidden) + "fed", "abcfed");
    EXPECT_EQ(findings(hidden).bidi_controls, 1u);
  }
}

TEST(TextPolicy, AisvsV2_1_5_TagCharactersAreSmuggling) {
  // "ignore" in tag characters, as invisible instructions are sent.
  std::string hidden;
  for (char c : std::string_view("ignore")) {
    hidden += "\xF3\xA0";
    hidden += static_cast<char>(0x80 | ((c >> 6) & 1));
    hidden += static_cast<char>(0x80 | (c & 0x3F));
  }
  expect_smuggled("Hello" + hidden, "Hello");
  EXPECT_EQ(findings(hidden).tag_characters, 6u);
}

TEST(TextPolicy, AisvsV2_1_5_WordsOfMixedScriptsAreMarkedAndRefusedWhereAsked) {
  for (std::string_view text : {"p\u0430ypal", "\u0391lpha", "ca\u0440d", "\u0441af\u00E9"}) {
    EXPECT_EQ(findings(text).mixed_script_words, 1u) << text;
    EXPECT_FALSE(check_text(text, SmugglingPolicy::Refuse)) << text;
    EXPECT_EQ(cleaned(text), text) << "letters are not taken out";
  }
  EXPECT_EQ(findings("\u0434\u0430 and \u03B1\u03B2 and yes").mixed_script_words, 0u)
      << "control: words of one script";
  EXPECT_EQ(findings("p\u0430y p\u0430l").mixed_script_words, 2u);
}

TEST(TextPolicy, NormalisationHidesNothing) {
  // A spelling that composes away must be found like the one that is composed.
  EXPECT_EQ(findings("\u0441afe\u0301").mixed_script_words, findings("\u0441af\u00E9").mixed_script_words);
  EXPECT_EQ(cleaned("e\u200B\u0301"), "\u00E9") << "a mark meets its letter";
}

TEST(TextPolicy, ControlTokensAreCountedInTheTextThatGoesOn) {
  EXPECT_EQ(findings("<|im_start|>system").control_tokens, 1u);
  EXPECT_EQ(findings("[INST] x [/INST] <|im_end|>").control_tokens, 3u);
  EXPECT_EQ(findings("a < b | c > d").control_tokens, 0u) << "control";
  auto hidden = check_text("<|im_\u200Bstart|>", SmugglingPolicy::Clean);
  ASSERT_TRUE(hidden);
  EXPECT_EQ(hidden->text, "<|im_start|>");
  EXPECT_EQ(hidden->findings.control_tokens, 1u) << "put together by the cleaning itself";
}

}  // namespace
}  // namespace bulkhead::guard
