#include "http/message.h"

#include <gtest/gtest.h>

#include "http/client.h"
#include "http/detail/buffer.h"
#include "http/detail/serialize.h"

namespace bulkhead::http {
namespace {

TEST(Headers, KeepOrderAndTellRepeatedFromAbsent) {
  Headers headers;
  headers.add("a", "1");
  headers.add("b", "2");
  headers.add("a", "3");
  EXPECT_EQ(headers.count("a"), 2u);
  EXPECT_FALSE(headers.single("a"));
  EXPECT_EQ(headers.single("b"), "2");
  EXPECT_FALSE(headers.single("c"));
  headers.set("a", "4");
  EXPECT_EQ(headers.single("a"), "4");
  std::string all;
  for (const auto& [name, value] : headers.all()) all += std::string(name) + "=" + std::string(value) + ";";
  EXPECT_EQ(all, "b=2;a=4;");
  headers.remove("b");
  EXPECT_EQ(headers.all().size(), 1u);
}

TEST(Headers, ThatWouldSplitAMessageAreNotSafe) {
  for (const auto& [name, value] : {std::pair<std::string, std::string>{"a", "x\r\nSet-Cookie: y"},
                                    {"a", "x\ny"},
                                    {"a\r\nb", "x"},
                                    {"a b", "x"},
                                    {"", "x"},
                                    {"a", std::string("x\0y", 3)}}) {
    Headers headers;
    headers.add(name, value);
    EXPECT_FALSE(detail::headers_are_safe(headers));
  }
  Headers good;
  good.add("a", "x y\tz");
  EXPECT_TRUE(detail::headers_are_safe(good));
}

TEST(Url, ParsesWhatItShould) {
  const auto plain = Url::parse("http://127.0.0.1:8080/v1/");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->host, "127.0.0.1");
  EXPECT_EQ(plain->port, 8080);
  EXPECT_EQ(plain->path, "/v1");
  const auto secure = Url::parse("https://example.org");
  ASSERT_TRUE(secure);
  EXPECT_TRUE(secure->tls);
  EXPECT_EQ(secure->port, 443);
  const auto v6 = Url::parse("http://[::1]:81/x");
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->host, "::1");
  EXPECT_EQ(v6->port, 81);
  const auto local = Url::parse("unix:/run/x.sock");
  ASSERT_TRUE(local);
  EXPECT_EQ(local->unix_path, "/run/x.sock");
  for (const char* bad :
       {"", "example.org", "ftp://x", "http://", "http://u:p@x", "http://x?q", "http://x#f", "http://x:0",
        "http://x:70000", "http://a b", "unix:relative", "http://x/../y", "http://x\\y", "http://x/a//b"}) {
    EXPECT_FALSE(Url::parse(bad)) << bad;
  }
}

// Invariant I6: what was consumed, moved or outgrown is not left in the buffer.
TEST(Buffer, OverwritesWhatItNoLongerHolds) {
  detail::Buffer buffer;
  const auto put = [&buffer](std::string_view text) {
    std::memcpy(buffer.prepare(text.size()).data(), text.data(), text.size());
    buffer.commit(text.size());
  };
  put("PLANTED-SECRET and the next request");
  char* const memory = const_cast<char*>(buffer.view().data());
  const std::string_view whole(memory, buffer.capacity());
  ASSERT_NE(whole.find("PLANTED-SECRET"), std::string_view::npos) << "control: it was there";
  buffer.consume(14);
  EXPECT_EQ(whole.find("PLANTED-SECRET"), std::string_view::npos);
  EXPECT_EQ(buffer.view(), " and the next request");
  // Moving the content to the front must not leave its tail behind.
  buffer.prepare(buffer.capacity() - buffer.size());
  EXPECT_EQ(buffer.view(), " and the next request");
  buffer.consume(buffer.size());
  for (char c : whole) EXPECT_EQ(c, 0);
}

}  // namespace
}  // namespace bulkhead::http
