#include "base/json.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <thread>

#include "base/bytes.h"
#include "base/memory.h"

namespace bulkhead::base::json {
namespace {

std::string refused_as(std::string_view text, const Limits& limits = {}) {
  auto document = Document::parse(text, limits);
  return document ? "accepted" : std::string(document.error().name().code);
}

TEST(JsonParseTest, ReadsEveryType) {
  auto document = Document::parse(
      R"({"a":null,"b":true,"i":-42,"d":1.5e3,"s":"x\"\u00e9\n\ud83d\ude00","l":[1,[2],{}],"o":{"k":"v"}})");
  ASSERT_TRUE(document);
  Value root = document->root();
  EXPECT_EQ(root.size(), 7u);
  EXPECT_TRUE(root["a"].is_null());
  EXPECT_EQ(root["b"].as_bool(), true);
  EXPECT_EQ(root["i"].as_int(), -42);
  EXPECT_EQ(root["i"].as_double(), -42.0);
  EXPECT_EQ(root["d"].as_double(), 1500.0);
  EXPECT_EQ(root["d"].as_int(), std::nullopt);
  EXPECT_EQ(root["s"].as_string(), "x\"\u00e9\n\U0001F600");
  EXPECT_EQ(root["l"].size(), 3u);
  EXPECT_EQ(root["l"].at(1).at(0).as_int(), 2);
  EXPECT_TRUE(root["l"].at(2).is_object());
  EXPECT_EQ(root["o"]["k"].as_string(), "v");
  EXPECT_EQ(root.key_at(2), "i");
  EXPECT_EQ(root.at(2).as_int(), -42);
}

TEST(JsonParseTest, AbsentValuesGiveNothing) {
  auto document = Document::parse(R"({"s":"x","n":null})");
  ASSERT_TRUE(document);
  Value absent = document->root()["nope"];
  EXPECT_FALSE(absent.exists());
  EXPECT_FALSE(absent.is_null());
  EXPECT_EQ(absent.as_string(), std::nullopt);
  EXPECT_FALSE(absent["deeper"]["still"].exists());
  EXPECT_FALSE(document->root().at(2).exists());
  EXPECT_FALSE(document->root()["s"]["x"].exists());
  EXPECT_EQ(document->root()["s"].as_int(), std::nullopt);
  EXPECT_EQ(document->root().key_at(9), "");
  EXPECT_TRUE(document->root()["n"].exists());
}

TEST(JsonParseTest, ScalarsMayStandAlone) {
  EXPECT_EQ(Document::parse("7")->root().as_int(), 7);
  EXPECT_EQ(Document::parse(" \"x\" ")->root().as_string(), "x");
  EXPECT_TRUE(Document::parse("null")->root().is_null());
  EXPECT_EQ(Document::parse("[]")->root().size(), 0u);
}

TEST(JsonParseTest, NumbersAtTheEdges) {
  EXPECT_EQ(Document::parse("9223372036854775807")->root().as_int(),
            std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(Document::parse("-9223372036854775808")->root().as_int(),
            std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(Document::parse("9223372036854775808")->root().as_int(), std::nullopt);
  EXPECT_EQ(Document::parse("9223372036854775808")->root().as_double(), 9223372036854775808.0);
  EXPECT_EQ(refused_as("1e999"), "malformed");
}

TEST(JsonParseTest, RefusesWhatIsNotStrictJson) {
  for (std::string_view text : {"",
                                " ",
                                "{",
                                "[1,]",
                                "{\"a\":1,}",
                                "{a:1}",
                                "{'a':1}",
                                "[1 2]",
                                "{\"a\":1}x",
                                "01",
                                "+1",
                                ".5",
                                "1.",
                                "NaN",
                                "Infinity",
                                "nul",
                                "tru",
                                "\"a",
                                "\"\n\"",
                                "\"\\x\"",
                                "\"\\ud800\"",
                                "// c\n1",
                                "/* c */1",
                                "\"\xC0\xAF\"",
                                "\"\xED\xA0\x80\"",
                                "\"\xFF\"",
                                "[1]\xFF",
                                "{\"a\"}",
                                "{1:2}",
                                "]"}) {
    EXPECT_EQ(refused_as(text), "malformed") << text;
  }
  EXPECT_EQ(refused_as(std::string_view("1\0", 2)), "malformed");
  EXPECT_EQ(refused_as(std::string_view("\"a\0b\"", 5)), "malformed");
}

TEST(JsonParseTest, RefusesDuplicateNamesAtEveryDepthAndHoweverSpelt) {
  EXPECT_EQ(refused_as(R"({"a":1,"b":2})"), "accepted");
  EXPECT_EQ(refused_as(R"({"a":1,"a":1})"), "duplicate_key");
  EXPECT_EQ(refused_as(R"({"tenant":"a","\u0074enant":"b"})"), "duplicate_key");
  EXPECT_EQ(refused_as(R"({"x":[{"y":{"a":1,"b":2,"a":3}}]})"), "duplicate_key");
  EXPECT_EQ(refused_as(R"([{"a":1},{"a":1}])"), "accepted");
  EXPECT_EQ(refused_as(R"({"a":{"a":1}})"), "accepted");
  EXPECT_EQ(refused_as(R"({"a":1,"A":1})"), "accepted");
}

// Both ways of comparing names, around the size where one takes over.
TEST(JsonParseTest, RefusesDuplicateNamesInObjectsOfEverySize) {
  for (int size : {2, 15, 16, 17, 18, 40, 1000}) {
    std::string text = "{";
    for (int i = 0; i < size; ++i) text += "\"k" + std::to_string(i) + "\":0,";
    EXPECT_EQ(refused_as(text + "\"end\":0}"), "accepted") << size;
    EXPECT_EQ(refused_as(text + "\"k0\":0}"), "duplicate_key") << size;
    EXPECT_EQ(refused_as(text + "\"k" + std::to_string(size - 1) + "\":0}"), "duplicate_key") << size;
  }
}

TEST(JsonParseTest, KeepsItsLimits) {
  Limits limits{.bytes_max = 40, .depth_max = 3, .nodes_max = 5};
  EXPECT_EQ(refused_as("[[[]]]", limits), "accepted");
  EXPECT_EQ(refused_as("[[[[]]]]", limits), "too_deep");
  EXPECT_EQ(refused_as("[[[1]]]", limits), "too_deep");
  EXPECT_EQ(refused_as("[1,2,3,4]", limits), "accepted");
  EXPECT_EQ(refused_as("[1,2,3,4,5]", limits), "too_large");
  EXPECT_EQ(refused_as("{\"a\":[1,2],\"b\":3}", limits), "accepted");
  EXPECT_EQ(refused_as("{\"a\":[1,2],\"b\":[3]}", limits), "too_large");
  EXPECT_EQ(refused_as("\"" + std::string(38, 'x') + "\"", limits), "accepted");
  EXPECT_EQ(refused_as("\"" + std::string(39, 'x') + "\"", limits), "too_large");
  // Deeper than simdjson itself goes, and with more brackets than any stack would stand.
  EXPECT_EQ(refused_as(std::string(5000, '[') + std::string(5000, ']')), "too_deep");
  EXPECT_NE(refused_as(std::string(1 << 20, '[')), "accepted");
}

TEST(JsonParseTest, LargeDocumentsAndManyOfThem) {
  std::string text = "[";
  for (int i = 0; i < 50'000; ++i) text += "{\"id\":" + std::to_string(i) + ",\"t\":\"\\u00e4\"},";
  text += "{}]";
  ASSERT_GT(text.size(), 1u << 20);
  auto document = Document::parse(text);
  ASSERT_TRUE(document);
  EXPECT_EQ(document->root().size(), 50'001u);
  EXPECT_EQ(document->root().at(49'999)["id"].as_int(), 49'999);
  EXPECT_EQ(document->root().at(123)["t"].as_string(), "\u00e4");
  for (int size = 1; size < 2000; ++size) {
    std::string body = "\"" + std::string(static_cast<std::size_t>(size), 'x') + "\"";
    EXPECT_EQ(Document::parse(body)->root().as_string()->size(), static_cast<std::size_t>(size));
  }
}

TEST(JsonParseTest, DocumentsOutliveTheirSourceAndLaterParses) {
  std::string text = R"({"name":"first document, longer than any short string"})";
  auto first = Document::parse(text);
  Value root = first->root();
  wipe(text);
  auto second = Document::parse(R"({"name":"another"})");
  Document moved = std::move(*first);
  EXPECT_EQ(root["name"].as_string(), "first document, longer than any short string");
  EXPECT_EQ(moved.root()["name"].as_string(), root["name"].as_string());
  EXPECT_EQ(second->root()["name"].as_string(), "another");
}

TEST(JsonParseTest, ThreadsDontShareParsers) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 500; ++i) {
        std::string text = "{\"t\":" + std::to_string(t) + ",\"i\":" + std::to_string(i) + "}";
        auto document = Document::parse(text);
        ASSERT_EQ(document->root()["t"].as_int(), t);
        ASSERT_EQ(document->root()["i"].as_int(), i);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

#ifndef BULKHEAD_TEST_NO_MEMORY_SCAN
// Plants `secret` into a body, parses it, wipes the body; the document and nothing else then holds it.
std::size_t left_after(const std::string& needle, std::string_view before, std::string_view after,
                       std::size_t padding, bool alive, bool valid) {
  std::string body(before);
  body.append(padding, ' ');
  std::size_t at = body.size();
  body.append(needle.size(), 'x').append(after);
  test::unmask_into(body.data() + at, needle);
  std::size_t found = 0;
  {
    auto document = Document::parse(body);
    EXPECT_EQ(document.ok(), valid);
    wipe(body);
    if (alive) found = test::occurrences(needle);
  }
  return alive ? found : test::occurrences(needle);
}

TEST(JsonResidueTest, NothingOfAParsedTextStays) {
  const std::string needle = test::masked("the patient was given 40 mg of pr");
  for (std::size_t padding : {0u, 600'000u}) {  // the thread's parser, and one of its own
    EXPECT_EQ(left_after(needle, "{\"content\":\"", "\"}", padding, true, true), 1u)
        << "control: while the document lives, the scan finds it";
    EXPECT_EQ(left_after(needle, "{\"content\":\"", "\"}", padding, false, true), 0u);
    EXPECT_EQ(left_after(needle, "{\"content\":\"", "\",}", padding, false, false), 0u) << "malformed";
    EXPECT_EQ(left_after(needle, "{\"", "\":1}", padding, false, true), 0u) << "member name";
  }
}

TEST(JsonResidueTest, NothingOfANumberStays) {
  // 8 bytes as the integer they are in memory.
  const std::int64_t secret = 0x4b6d'7a51'2f39'5c3d;
  std::string needle(8, 0);
  std::memcpy(needle.data(), &secret, 8);
  needle = test::masked(needle);
  std::string body = "[" + std::to_string(secret) + "]";
  {
    auto document = Document::parse(body);
    EXPECT_GE(test::occurrences(needle), 1u) << "control";
  }
  // The constant itself may stand in code, which isn't writable memory, or on the stack.
  std::size_t elsewhere = test::occurrences(needle);
  EXPECT_LE(elsewhere, 1u);
}
#endif

TEST(JsonWriterTest, PlacesCommas) {
  Writer w;
  w.begin_object().member("id", "x").key("l").begin_array().value(1).value("b").begin_object().end_object();
  w.null().value(true).end_array().member("e", std::int64_t{-1}).key("r").raw("[1,2]").end_object();
  EXPECT_EQ(w.text(), R"({"id":"x","l":[1,"b",{},null,true],"e":-1,"r":[1,2]})");
}

TEST(JsonWriterTest, NumbersComeBack) {
  for (double number : {0.1, 1e300, -2.5, 1.0, 5e-324, 123456789.125}) {
    Writer w;
    w.value(number);
    EXPECT_EQ(Document::parse(w.text())->root().as_double(), number) << w.text();
  }
  Writer w;
  w.begin_array()
      .value(std::numeric_limits<double>::infinity())
      .value(std::numeric_limits<double>::quiet_NaN());
  w.value(std::numeric_limits<std::uint64_t>::max())
      .value(std::numeric_limits<std::int64_t>::min())
      .end_array();
  EXPECT_EQ(w.text(), "[null,null,18446744073709551615,-9223372036854775808]");
}

TEST(JsonWriterTest, EscapesAndReadsBackEveryByte) {
  std::string text;
  for (int c = 0; c < 128; ++c) text += static_cast<char>(c);
  text += "\u00e9\u20ac\U0001F600\uFFFD\U0010FFFF\u0800\uD7FF\uE000";
  std::string quoted = quote(text);
  for (char c : quoted) EXPECT_GE(static_cast<unsigned char>(c), 0x20);
  EXPECT_EQ(Document::parse(quoted)->root().as_string(), text);
}

TEST(JsonWriterTest, NeverWritesWhatIsNotUtf8) {
  const std::pair<std::string, std::string> cases[] = {
      {"a\xFFz", "a\uFFFDz"},
      {"\xC3", "\uFFFD"},
      {"\xE2\x82", "\uFFFD\uFFFD"},
      {"\xC0\xAF", "\uFFFD\uFFFD"},                      // overlong
      {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},            // surrogate
      {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},  // beyond U+10FFFF
      {"\x80\"\xE2\x82\xAC", "\uFFFD\"\u20ac"},
  };
  for (const auto& [text, expected] : cases) {
    auto document = Document::parse(quote(text));
    ASSERT_TRUE(document) << quote(text);
    EXPECT_EQ(document->root().as_string(), expected);
  }
}

// The writer's notion of UTF-8 is the parser's: every text of up to three bytes from the edges.
TEST(JsonWriterTest, AgreesWithTheParserAboutUtf8) {
  const std::string edges =
      "a\x7F\x80\x8F\x90\x9F\xA0\xBF\xC0\xC1\xC2\xDF\xE0\xE1\xEC\xED\xEE\xEF\xF0\xF1\xF3\xF4\xF5\xFF";
  for (char a : edges) {
    for (char b : edges) {
      for (char c : edges) {
        for (std::string text : {std::string{a, b, c}, std::string{a, b, c, '\x80'}}) {
          bool accepted = Document::parse("\"" + text + "\"").ok();
          bool unchanged = Document::parse(quote(text))->root().as_string() == text;
          EXPECT_EQ(accepted, unchanged) << hex_encode(as_bytes(text));
        }
      }
    }
  }
}

TEST(JsonWriterTest, CopiesValues) {
  std::string text = R"({"a":[1,2.5,"x\n",null,true,{"b":[]}]})";
  Writer w;
  w.copy(Document::parse(text)->root());
  EXPECT_EQ(w.text(), text);
}

TEST(JsonTest, FindsUnknownKeysByteForByte) {
  auto document = Document::parse(R"({"model":"m","Stream":true})");
  EXPECT_EQ(first_unknown_key(document->root(), {"model", "stream"}), "Stream");
  EXPECT_EQ(first_unknown_key(document->root(), {"model", "Stream"}), std::nullopt);
}

}  // namespace
}  // namespace bulkhead::base::json
