#include "base/log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "base/json.h"

namespace bulkhead::base {
namespace {

// What `action` writes to standard error.
template <typename Action>
std::string captured(Action action) {
  testing::internal::CaptureStderr();
  action();
  return testing::internal::GetCapturedStderr();
}

TEST(LogTest, WritesOneJsonObjectALine) {
  std::string text = captured([] {
    log::warning("worker_died", {{"reason", std::string_view("say \"no\"\n{")},
                                 {"status", std::int64_t{9}},
                                 {"seconds", 1.5},
                                 {"restart", true}});
  });
  ASSERT_TRUE(text.ends_with('\n'));
  EXPECT_EQ(text.find('\n'), text.size() - 1) << "a field can't begin a line of its own";
  auto line = json::Document::parse(text);
  ASSERT_TRUE(line) << text;
  EXPECT_EQ(line->root()["level"].as_string(), "warning");
  EXPECT_EQ(line->root()["event"].as_string(), "worker_died");
  EXPECT_EQ(line->root()["reason"].as_string(), "say \"no\"\n{");
  EXPECT_EQ(line->root()["status"].as_int(), 9);
  EXPECT_EQ(line->root()["seconds"].as_double(), 1.5);
  EXPECT_EQ(line->root()["restart"].as_bool(), true);
  EXPECT_TRUE(line->root()["time"].as_string()->ends_with('Z'));
}

TEST(LogTest, LeavesOutWhatIsBelowTheLevel) {
  EXPECT_EQ(captured([] { log::debug("detail"); }), "");
  log::set_level(log::Level::Debug);
  EXPECT_NE(captured([] { log::debug("detail"); }), "");
  log::set_level(log::Level::Error);
  EXPECT_EQ(captured([] { log::warning("x"); }), "");
  EXPECT_NE(captured([] { log::error("x"); }), "");
  log::set_level(log::Level::Info);
}

TEST(LogTest, LinesOfThreadsDontMix) {
  std::string text = captured([] {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([t] {
        for (int i = 0; i < 100; ++i) {
          log::info("line", {{"filler", std::string_view("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")},
                             {"t", std::int64_t{t}}});
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  int lines = 0;
  for (std::size_t at = 0; at < text.size(); ++lines) {
    std::size_t end = text.find('\n', at);
    EXPECT_TRUE(json::Document::parse(std::string_view(text).substr(at, end - at)));
    at = end + 1;
  }
  EXPECT_EQ(lines, 400);
}

}  // namespace
}  // namespace bulkhead::base
