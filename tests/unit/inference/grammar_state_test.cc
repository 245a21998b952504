// The bounds of matching are our own, so they are tried on our own matcher; no grammar here reaches
// llama.cpp.
#include "inference/grammar_state.h"

#include <gtest/gtest.h>

#include "inference/constraint.h"

namespace bulkhead::inference {
namespace {

std::shared_ptr<const Grammar> grammar(std::string_view text) {
  auto made = Grammar::compile(text);
  return made ? *made : nullptr;
}

// "yes": the whole text; "part": more must come; "no".
std::string matches(std::string_view gbnf, std::string_view text, const MatchBounds& bounds = {}) {
  auto compiled = grammar(gbnf);
  if (!compiled) return "bad grammar";
  GrammarState state(compiled, bounds);
  for (char c : text) {
    state.begin_token();
    const bool allowed = state.allows(std::string_view(&c, 1));
    if (state.accept(std::string_view(&c, 1)) != allowed) return "allows and accept differ";
    if (!allowed) return state.exhausted() ? "exhausted" : "no";
  }
  return state.may_end() ? "yes" : "part";
}

std::string refusal(std::string_view gbnf) {
  auto made = Grammar::compile(gbnf);
  return made ? "" : std::string(made.error().detail());
}

TEST(Gbnf, LiteralsClassesAndAlternatives) {
  EXPECT_EQ(matches("root ::= \"ab\" | [c-e] .", "ab"), "yes");
  EXPECT_EQ(matches("root ::= \"ab\" | [c-e] .", "dé"), "yes");
  EXPECT_EQ(matches("root ::= \"ab\" | [c-e] .", "d"), "part");
  EXPECT_EQ(matches("root ::= \"ab\" | [c-e] .", "b"), "no");
  EXPECT_EQ(matches("root ::= [^\"\\\\\\x00-\\x1F]", "x"), "yes");
  EXPECT_EQ(matches("root ::= [^\"\\\\\\x00-\\x1F]", "\n"), "no");
  EXPECT_EQ(matches("# a comment\nroot ::= a # and\na ::= \"\\u00e9\"\n", "é"), "yes");
}

TEST(Gbnf, RepetitionsAreCounted) {
  const char* kTwoToFour = "root ::= (\"a\" | \"b\"){2,4} \"c\"";
  EXPECT_EQ(matches(kTwoToFour, "abc"), "yes");
  EXPECT_EQ(matches(kTwoToFour, "ababc"), "yes");
  EXPECT_EQ(matches(kTwoToFour, "ac"), "no");
  EXPECT_EQ(matches(kTwoToFour, "ababac"), "no");
  EXPECT_EQ(matches("root ::= \"ab\"{3} ", "ababab"), "yes");
  EXPECT_EQ(matches("root ::= \"ab\"{3} ", "abab"), "part");
  EXPECT_EQ(matches("root ::= x{2,}\nx ::= [0-9]", "12345"), "yes");
  EXPECT_EQ(matches("root ::= x{2,}\nx ::= [0-9]", "1"), "part");
  EXPECT_EQ(matches("root ::= x* \"!\"?\nx ::= [0-9]", "12!"), "yes");
  EXPECT_EQ(matches("root ::= \"a\"{0,0} \"b\"", "b"), "yes");
}

TEST(Gbnf, RecursionMatchesNestedText) {
  const char* kLists = "root ::= list\nlist ::= \"[\" (value (\",\" value)*)? \"]\"\nvalue ::= list | [0-9]+";
  EXPECT_EQ(matches(kLists, "[1,[2,[]],33]"), "yes");
  EXPECT_EQ(matches(kLists, "[1,[2"), "part");
  EXPECT_EQ(matches(kLists, "[1,]"), "no");
}

TEST(Gbnf, CharactersMayComeInPieces) {
  GrammarState state(grammar("root ::= [é-ü] \"x\""));
  EXPECT_TRUE(state.allows("\xC3"));
  EXPECT_FALSE(state.allows("\xC4"));
  ASSERT_TRUE(state.accept("\xC3"));
  EXPECT_FALSE(state.may_end());
  EXPECT_FALSE(state.allows("x"));
  EXPECT_TRUE(state.accept("\xA9x"));
  EXPECT_TRUE(state.may_end());
}

TEST(Gbnf, WhatCantBeMatchedInBoundsIsRefused) {
  EXPECT_EQ(refusal("root ::= \"a\"{5,2}"), "a repetition whose least number is above its greatest");
  EXPECT_EQ(refusal("root ::= \"a\"{99999999999999999999}"),
            "a number of repetitions that is none or too large");
  EXPECT_EQ(refusal("root ::= \"a\"{5000}"), "too many repetitions");
  EXPECT_EQ(refusal("root ::= root \"a\" | \"b\""), "a rule that begins with itself");
  EXPECT_EQ(refusal("root ::= a? root \"b\" | \"b\"\na ::= \"a\""), "a rule that begins with itself");
  EXPECT_EQ(refusal("root ::= other"), "a rule that is not defined");
  EXPECT_EQ(refusal("other ::= \"a\""), "no rule root");
  EXPECT_EQ(refusal("root ::= [z-a]"), "a range that runs backwards");
  EXPECT_EQ(refusal("root ::= " + std::string(200, '(') + "\"a\"" + std::string(200, ')')),
            "too many nested groups");
  EXPECT_EQ(refusal("root ::= \"" + std::string(300'000, 'a') + "\""), "too large");
  EXPECT_EQ(refusal("root ::= \"a"), "it ends too early");
}

// Nullable rules in nullable rules: 2^40 ways to match nothing. Compiling looks at each rule once, and
// matching ends at its bounds.
TEST(Gbnf, NullableRulesInNullableRulesAreCutOff) {
  std::string text = "root ::= r0\n";
  for (int i = 0; i < 40; ++i) {
    std::string next = "r" + std::to_string(i + 1);
    text += "r" + std::to_string(i) + " ::= " + next + "? " + next + "?\n";
  }
  text += "r40 ::= \"a\"?\n";
  EXPECT_EQ(refusal(text), "");
  EXPECT_EQ(matches(text, "a"), "exhausted");
  Constraint constraint;
  constraint.grammar = grammar(text);
  EXPECT_FALSE(ConstraintState::make(constraint));
}

// Each bracket may open either kind of list: the ways double with each, and so do llama.cpp's stacks.
constexpr const char* kAmbiguous =
    "root ::= v\nv ::= a | b\na ::= \"[\" v \"]\" | \"x\"\nb ::= \"[\" v \"]\" | \"y\"";

TEST(MatchBounds, AnAmbiguousGrammarIsCutOff) {
  EXPECT_EQ(matches(kAmbiguous, "[[x]]"), "yes");
  EXPECT_EQ(matches(kAmbiguous, std::string(64, '[')), "exhausted");
  // The control: with more states allowed the same text goes further.
  MatchBounds wide;
  wide.states = 1 << 13;
  EXPECT_EQ(matches(kAmbiguous, std::string(8, '[')), "exhausted");
  EXPECT_EQ(matches(kAmbiguous, std::string(8, '['), wide), "part");
}

TEST(MatchBounds, OneTokenOfManyCharactersIsCutOffToo) {
  GrammarState state(grammar(kAmbiguous));
  state.begin_token();
  EXPECT_FALSE(state.accept(std::string(4'096, '[')));
  EXPECT_TRUE(state.exhausted());
  EXPECT_FALSE(state.may_end());
}

TEST(MatchBounds, StepsOfOneTokenAreBounded) {
  MatchBounds tight;
  tight.steps = 20;
  auto words = grammar("root ::= [a-z]* ");
  GrammarState state(words, tight);
  state.begin_token();
  EXPECT_TRUE(state.accept("abc"));
  state.begin_token();
  EXPECT_TRUE(state.accept("abc"));  // the next token has steps of its own
  state.begin_token();
  EXPECT_FALSE(state.accept(std::string(100, 'a')));
  EXPECT_TRUE(state.exhausted());
  GrammarState control(words);
  control.begin_token();
  EXPECT_TRUE(control.accept(std::string(100, 'a')));
}

TEST(MatchBounds, NestingEndsAtTheDepth) {
  const char* kNested = "root ::= \"[\" root \"]\" | \"x\"";
  MatchBounds shallow;
  shallow.depth = 8;
  EXPECT_EQ(matches(kNested, "[[x]]", shallow), "yes");
  EXPECT_EQ(matches(kNested, std::string(20, '['), shallow), "no");
  EXPECT_EQ(matches(kNested, std::string(20, '[')), "part");
}

TEST(MatchBounds, MemoryStaysBoundedOverALongText) {
  GrammarState state(grammar("root ::= item{0,2000}\nitem ::= \"[\" [a-z]{1,30} \"]\""));
  for (int i = 0; i < 1'500; ++i) {
    state.begin_token();
    ASSERT_TRUE(state.accept("[abcdefghijklmnopqrst]")) << i;
    ASSERT_LE(state.nodes(), MatchBounds().nodes);
  }
  EXPECT_TRUE(state.may_end());
}

Constraint lazy() {
  Constraint constraint;
  constraint.grammar = grammar("root ::= \"<call>\" [0-9]+ \"</call>\"");
  constraint.lazy = true;
  constraint.triggers.push_back({"<call>", std::nullopt, false});
  return constraint;
}

TEST(LazyConstraint, HoldsFromItsTriggerOn) {
  Constraint constraint = lazy();
  auto state = *ConstraintState::make(constraint);
  for (std::string_view piece : {"Let me ", "see: <ca"}) {
    EXPECT_TRUE(state->allows(piece));
    ASSERT_TRUE(state->accept(piece));
  }
  EXPECT_FALSE(state->holds());
  ASSERT_TRUE(state->accept("ll>1"));
  EXPECT_TRUE(state->holds());
  EXPECT_FALSE(state->allows("x"));
  EXPECT_FALSE(state->may_end());
  ASSERT_TRUE(state->accept("7</call>"));
  EXPECT_TRUE(state->may_end());
}

TEST(LazyConstraint, FindsItsTriggerAfterALongTalk) {
  Constraint constraint = lazy();
  auto state = *ConstraintState::make(constraint);
  for (int i = 0; i < 2'000; ++i) ASSERT_TRUE(state->accept("so I say "));
  ASSERT_TRUE(state->accept("<call>"));
  EXPECT_TRUE(state->holds());
}

}  // namespace
}  // namespace bulkhead::inference
