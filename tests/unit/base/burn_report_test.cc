#include "base/burn_report.h"

#include <gtest/gtest.h>

namespace bulkhead::base {
namespace {

BurnReport example() {
  BurnReport report;
  report.engine = "worker";
  report.rows = RowsFate::Zeroed;
  report.reuse = RowsReuse::Session;
  report.reuse_seconds = 300;
  report.cleared = {{.memory = Memory::KvRows, .bytes = 4'096, .read_back = 4'096},
                    {.memory = Memory::Compute, .bytes = 100, .read_back = 100},
                    {.memory = Memory::Objects, .method = ClearMethod::Freed, .objects = 3}};
  report.heap_wiped_on_free = true;
  report.tokens_erased = 40;
  report.tokens_kept = 38;
  report.micros = 12;
  return report;
}

std::string text_of(const BurnReport& report) {
  json::Writer w;
  write(w, report);
  return w.take();
}

std::optional<BurnReport> read(const std::string& text) {
  auto document = json::Document::parse(text);
  if (!document) return std::nullopt;
  return read_burn_report(document->root());
}

std::string with(std::string text, const std::string& old, const std::string& fresh) {
  const std::size_t at = text.find(old);
  EXPECT_NE(at, std::string::npos) << old;
  return text.replace(at, old.size(), fresh);
}

TEST(BurnReport, IsReadAsItWasWritten) {
  EXPECT_EQ(read(text_of(example())), example());
  BurnReport external{
      .engine = "vllm", .rows = RowsFate::Kept, .reuse = RowsReuse::Session, .reuse_seconds = 60};
  EXPECT_EQ(read(text_of(external)), external);
}

TEST(BurnReport, IsVerifiedByItsFiguresAlone) {
  EXPECT_TRUE(example().verified());
  BurnReport unread = example();
  unread.cleared[1].read_back = 99;
  EXPECT_FALSE(unread.verified()) << "not all was looked at";
  BurnReport dirty = example();
  dirty.cleared[0].nonzero = 1;
  EXPECT_FALSE(dirty.verified());
  BurnReport rowless = example();
  rowless.cleared.erase(rowless.cleared.begin());
  EXPECT_FALSE(rowless.verified()) << "says zeroed, and lists no rows";
  for (RowsFate fate : {RowsFate::Forgotten, RowsFate::Unreachable, RowsFate::Kept, RowsFate::NotErasedYet,
                        RowsFate::Unknown, RowsFate::Skipped, RowsFate::Failed}) {
    BurnReport other = example();
    other.rows = fate;
    EXPECT_FALSE(other.verified()) << fate_name(fate);
  }
  EXPECT_FALSE(BurnReport().verified());
}

TEST(BurnReport, WhatCantBeReadProvesNothing) {
  const std::string good = text_of(example());
  ASSERT_TRUE(read(good)) << "control";
  EXPECT_FALSE(read(with(good, "\"verified\":true", "\"verified\":false"))) << "not what its figures say";
  EXPECT_FALSE(read(with(good, "\"nonzero\":0", "\"nonzero\":5000"))) << "more than was looked at";
  EXPECT_FALSE(read(with(good, "\"read_back\":4096", "\"read_back\":4097")));
  EXPECT_FALSE(read(with(good, "\"bytes\":4096", "\"bytes\":-1")));
  EXPECT_FALSE(read(with(good, "\"compute\"", "\"everything\"")));
  EXPECT_FALSE(read(with(good, "\"zeroed\"", "\"gone\"")));
  EXPECT_FALSE(read(with(good, "\"heap_wiped_on_free\":true,", "")));
  EXPECT_FALSE(read(with(good, "\"micros\":12", "\"micros\":\"12\"")));
  EXPECT_FALSE(read("{\"verified\":true}"));
  EXPECT_FALSE(read("[]"));
}

TEST(BurnReport, SumsTakeTheWorseFateAndTheWiderReuse) {
  BurnReport sum;
  sum.add(example());
  EXPECT_EQ(sum, example()) << "a sum of one is that one";
  BurnReport second = example();
  second.reuse = RowsReuse::None;
  second.reuse_seconds = 0;
  sum.add(second);
  EXPECT_EQ(sum.find(Memory::KvRows)->bytes, 8'192u);
  EXPECT_EQ(sum.tokens_erased, 80u);
  EXPECT_EQ(sum.reuse, RowsReuse::Session);
  EXPECT_TRUE(sum.verified());
  BurnReport failed = example();
  failed.rows = RowsFate::Failed;
  sum.add(failed);
  sum.add(example());
  EXPECT_EQ(sum.rows, RowsFate::Failed);
  EXPECT_FALSE(sum.verified()) << "a later good one does not make up for it";
  BurnReport unwiped = example();
  unwiped.heap_wiped_on_free = false;
  sum.add(unwiped);
  sum.add(example());
  EXPECT_FALSE(sum.heap_wiped_on_free);
}

}  // namespace
}  // namespace bulkhead::base
