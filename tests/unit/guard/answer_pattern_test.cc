#include "guard/answer_pattern.h"

#include <gtest/gtest.h>

namespace bulkhead::guard {
namespace {

std::string rewritten(std::string_view pattern) { return read_answer_pattern(pattern).rewritten; }
bool refused(std::string_view pattern) { return !read_answer_pattern(pattern).fault.empty(); }

TEST(AnswerPattern, WhatAGrammarCanExpressIsServed) {
  for (const char* pattern : {"^a+b*$", "^(ab)*$", "^[(+)*]+$", "^\\(a+\\)*$", "^(a|b)+c*$", "^(a?)b*$",
                              "^[A-Z]{2}[0-9]{6}$", "^x{1000}$", "^x{3,}$", "^é+$", "^$"}) {
    EXPECT_EQ(read_answer_pattern(pattern).fault, "") << pattern;
    EXPECT_EQ(rewritten(pattern), pattern);
  }
}

// The converter takes what it doesn't know for "any string": it must not see it.
TEST(AnswerPattern, IsRewrittenIntoTheConvertersDialect) {
  EXPECT_EQ(rewritten("^\\d{3}-\\w+$"), "^[0-9]{3}-[A-Za-z0-9_]+$");
  EXPECT_EQ(rewritten("^[\\d.-]+$"), "^[0-9.\\-]+$");
  EXPECT_EQ(rewritten("^(?:a|b)$"), "^(a|b)$");
  EXPECT_EQ(rewritten("^a\\/b\\.c$"), "^a/b\\.c$");
  EXPECT_EQ(rewritten("^a+?$"), "^a+$");
  EXPECT_EQ(rewritten("^[\\^a]$"), "^[\\x5Ea]$");
}

TEST(AnswerPattern, RepetitionsOfRepetitionsAreRefused) {
  for (const char* pattern :
       {"^(a+)*$", "^(a*)+$", "^((ab)*c)+$", "^(a{2,})*$", "^([a-z]+x)*$", "^((a{3})){3}$"}) {
    EXPECT_TRUE(refused(pattern)) << pattern;
  }
}

TEST(AnswerPattern, ContradictoryAndEnormousNumbersAreRefused) {
  for (const char* pattern : {"^a{5,2}$", "^a{1001}$", "^a{0,99999999999999999999}$", "^a{}$", "^a{,3}$",
                              "^a{1,2,3}$", "^[z-a]$", "^[]$", "^a{2$"}) {
    EXPECT_TRUE(refused(pattern)) << pattern;
  }
}

TEST(AnswerPattern, WhatNoGrammarCanExpressIsRefused) {
  for (const char* pattern : {"((", "abc", "^(?=x)y$", "^a\\1$", "^a$|^b$", "^[a$", "^a)$", "^a\\b$", "^]$",
                              "^a**$", "^*a$", "^()$", "^\\p{L}$", "^a\\x4$"}) {
    EXPECT_TRUE(refused(pattern)) << pattern;
  }
  EXPECT_TRUE(refused("^" + std::string(kPatternBytesMax, 'a') + "$"));
  EXPECT_TRUE(refused("^" + std::string(17, '(') + "a" + std::string(17, ')') + "$"));
  EXPECT_FALSE(refused("^" + std::string(16, '(') + "a" + std::string(16, ')') + "$"));
}

}  // namespace
}  // namespace bulkhead::guard
