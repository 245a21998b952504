// Errors, results, identifiers, time.
#include <gtest/gtest.h>

#include <memory>

#include "base/clock.h"
#include "base/error.h"
#include "base/ids.h"
#include "base/result.h"

namespace bulkhead::base {
namespace {

enum class DoorError { Locked, Missing };
ErrorName error_name(DoorError code) { return {"door", code == DoorError::Locked ? "locked" : "missing"}; }
enum class RoofError { Leaks };
ErrorName error_name(RoofError) { return {"roof", "leaks"}; }

TEST(ErrorTest, KnowsItsEnumAndKeepsItsTwoTextsApart) {
  Error error(DoorError::Missing, "Ask for a door.", "wall 7");
  EXPECT_TRUE(error.is(DoorError::Missing));
  EXPECT_FALSE(error.is(DoorError::Locked));
  EXPECT_FALSE(error.is(RoofError::Leaks));
  EXPECT_EQ(error.as<DoorError>(), DoorError::Missing);
  // Same number, other enum.
  EXPECT_EQ(Error(DoorError::Locked, "").as<RoofError>(), std::nullopt);
  EXPECT_EQ(error.name().module, "door");
  EXPECT_EQ(error.name().code, "missing");
  EXPECT_EQ(error.message(), "Ask for a door.");
  EXPECT_EQ(error.describe(), "door.missing: Ask for a door. (wall 7)");
  EXPECT_EQ(Error(RoofError::Leaks, "x").with_parameter("tiles[3]").parameter(), "tiles[3]");
}

Result<std::unique_ptr<int>> open_door(bool locked) {
  if (locked) return Error(DoorError::Locked, "Bring the key.");
  return std::make_unique<int>(7);
}
Result<void> knock(bool locked) {
  if (locked) return Error(DoorError::Locked, "Bring the key.");
  return {};
}
Result<int> enter(bool locked_outside, bool locked_inside) {
  BULKHEAD_CHECK_OK(knock(locked_outside));
  BULKHEAD_TRY(door, open_door(locked_inside));
  return *door;
}

TEST(ResultTest, PassesErrorsOn) {
  EXPECT_EQ(*enter(false, false), 7);
  EXPECT_TRUE(enter(true, false).error().is(DoorError::Locked));
  EXPECT_TRUE(enter(false, true).error().is(DoorError::Locked));
  EXPECT_EQ(enter(true, true).value_or(3), 3);
}

TEST(ResultDeathTest, ReadingTheValueOfAFailureAborts) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(*enter(true, true), "");
  EXPECT_DEATH(static_cast<void>(enter(false, false).error()), "");
}

TEST(IdsTest, IdentifiersAreSafeInPathsAndHeaders) {
  EXPECT_TRUE(FileId::parse("file-abc.123_X"));
  EXPECT_TRUE(FileId::parse(std::string(96, 'a')));
  EXPECT_FALSE(FileId::parse(std::string(97, 'a')));
  for (const char* text :
       {"", ".", "..", "../x", "a/b", "a b", "a\n", "-a", "_a", "\xC3\xA9", "a\"", "a%2f"}) {
    EXPECT_FALSE(FileId::parse(text)) << text;
  }
  EXPECT_FALSE(FileId::parse(std::string_view("a\0b", 3)));
  EXPECT_EQ(FileId::make("k3v").str(), "file-k3v");
  EXPECT_EQ(std::hash<FileId>()(FileId::make("a")), std::hash<FileId>()(FileId::make("a")));
  EXPECT_LT(FileId::make("a"), FileId::make("b"));
}

TEST(IdsTest, TenantNamesAreDnsLabels) {
  for (const char* text : {"a", "klinik-nord", "0x1", "a--b"}) EXPECT_TRUE(TenantId::parse(text)) << text;
  EXPECT_TRUE(TenantId::parse(std::string(63, 'a')));
  EXPECT_FALSE(TenantId::parse(std::string(64, 'a')));
  for (const char* text : {"", "-a", "a-", "A", "a_b", "a.b", "..", "a/b", "a ", "\xC3\xA9"}) {
    EXPECT_FALSE(TenantId::parse(text)) << text;
  }
}

TEST(ClockTest, WritesRfc3339) {
  EXPECT_EQ(rfc3339(WallTime(std::chrono::microseconds(0))), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(rfc3339(WallTime(std::chrono::microseconds(-1))), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(rfc3339(WallTime(std::chrono::seconds(1'709'210'096) + std::chrono::microseconds(42))),
            "2024-02-29T12:34:56.000042Z");
}

TEST(ClockTest, ManualClockMovesOnlyWhenTold) {
  ManualClock clock(1'000);
  MonotonicTime before = clock.monotonic();
  EXPECT_EQ(clock.unix_seconds(), 1'000);
  clock.advance(std::chrono::seconds(5));
  EXPECT_EQ(clock.unix_seconds(), 1'005);
  EXPECT_EQ(clock.monotonic() - before, std::chrono::seconds(5));
}

TEST(ClockTest, TheSystemClockIsLaterThanThisCode) {
  EXPECT_GT(Clock::system().unix_seconds(), 1'700'000'000);
  EXPECT_LE(Clock::system().monotonic(), Clock::system().monotonic());
}

}  // namespace
}  // namespace bulkhead::base
