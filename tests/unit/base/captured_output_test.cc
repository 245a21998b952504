#include "base/captured_output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "base/json.h"
#include "base/log.h"

namespace bulkhead::base {
namespace {

constexpr std::string_view kUsersText = "the patient of ward seven";

// What reaches the real standard error while `action` runs.
template <typename Action>
std::string on_real_stderr(Action action) {
  testing::internal::CaptureStderr();
  action();
  return testing::internal::GetCapturedStderr();
}

void library_prints() { std::fprintf(stderr, "parse error near: %s\n", std::string(kUsersText).c_str()); }

TEST(OutputCaptureTest, ALibrarysOutputIsDroppedAndCountedAndOurLogIsNot) {
  const std::uint64_t before = foreign_bytes();
  std::string seen = on_real_stderr([] {
    auto capture = OutputCapture::start(false);
    ASSERT_TRUE(capture);
    library_prints();
    log::warning("our_own_line");
    capture->reset();
  });
  EXPECT_EQ(seen.find(kUsersText), std::string::npos) << seen;
  EXPECT_NE(seen.find("our_own_line"), std::string::npos);
  EXPECT_GE(foreign_bytes() - before, kUsersText.size());
}

TEST(OutputCaptureTest, ControlWithoutItTheTextIsThereAndAfterItAgain) {
  EXPECT_NE(on_real_stderr(library_prints).find(kUsersText), std::string::npos);
  std::string after = on_real_stderr([] {
    OutputCapture::start(false)->reset();
    library_prints();
  });
  EXPECT_NE(after.find(kUsersText), std::string::npos);
}

TEST(OutputCaptureTest, InDevelopmentItIsLoggedCleaned) {
  std::string seen = on_real_stderr([] {
    auto capture = OutputCapture::start(true);
    ASSERT_TRUE(capture);
    std::fputs("loading \x1b[31mred\n{\"event\":\"forged\"}", stderr);
    capture->reset();
  });
  auto line = json::Document::parse(seen);
  ASSERT_TRUE(line) << seen;
  EXPECT_EQ(line->root()["event"].as_string(), "foreign_output");
  EXPECT_EQ(line->root()["text"].as_string(), "loading ?[31mred?{\"event\":\"forged\"}");
}

// More than a pipe holds, and nobody is held up.
TEST(OutputCaptureTest, AFloodIsDropped) {
  std::string seen = on_real_stderr([] {
    auto capture = OutputCapture::start(false);
    ASSERT_TRUE(capture);
    const std::string piece(1000, 'x');
    for (int i = 0; i < 1000; ++i) static_cast<void>(::write(STDERR_FILENO, piece.data(), piece.size()));
    log::info("still_heard");
    capture->reset();
  });
  EXPECT_LT(seen.size(), 1000u);
  EXPECT_NE(seen.find("still_heard"), std::string::npos);
}

std::string relayed(const std::string& text) {
  return on_real_stderr([&] {
    auto relay = LogRelay::open("engine");
    ASSERT_TRUE(relay);
    const int child = ::fcntl((*relay)->child_end(), F_DUPFD_CLOEXEC, 3);
    (*relay)->begin();
    ASSERT_EQ(::write(child, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    ::close(child);
    relay->reset();
  });
}

TEST(LogRelayTest, OurOwnLinesComeThroughMemberByMember) {
  auto line = json::Document::parse(
      relayed("{\"time\":\"x\",\"level\":\"warning\",\"component\":\"gateway\",\"event\":\"decode_failed\","
              "\"status\":7,\"ok\":false,\"detail\":\"a\\u0007b\"}\n"));
  ASSERT_TRUE(line);
  EXPECT_EQ(line->root()["event"].as_string(), "decode_failed");
  EXPECT_EQ(line->root()["component"].as_string(), "engine") << "whatever it says of itself";
  EXPECT_EQ(line->root()["status"].as_int(), 7);
  EXPECT_EQ(line->root()["ok"].as_bool(), false);
  EXPECT_EQ(line->root()["detail"].as_string(), "a?b");
}

TEST(LogRelayTest, AllElseIsDroppedAndCounted) {
  const std::string user(kUsersText);
  for (const std::string& text :
       {user + "\n", user, "{\"level\":\"info\",\"event\":\"" + user + "\"}\n",
        "{\"level\":\"info\",\"event\":\"x\",\"" + user + "\":1}\n",
        "{\"level\":\"info\",\"event\":\"x\",\"a\":[\"" + user + "\"]}\n", "{\"event\":\"" + user + "\"\n",
        "{\"level\":\"info\",\"event\":\"x\",\"a\":\"" + std::string(20'000, 'x') + user + "\"}\n"}) {
    const std::uint64_t before = foreign_bytes();
    EXPECT_EQ(relayed(text), "") << text;
    EXPECT_EQ(foreign_bytes() - before, text.size()) << text;
  }
  EXPECT_NE(relayed("{\"level\":\"info\",\"event\":\"x\"}\n"), "") << "control";
}

}  // namespace
}  // namespace bulkhead::base
