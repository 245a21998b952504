#include "inference/prefix_cache.h"

#include <gtest/gtest.h>

namespace bulkhead::inference {
namespace {

using Time = PrefixCache::Time;
using namespace std::chrono_literals;

const PrefixKey kKey{"acme", "s1", "model", "adapter"};
Tokens tokens(std::size_t count, Token first = 100) {
  Tokens out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(first + static_cast<Token>(i));
  return out;
}
PrefixCache::Entry entry(Tokens of, std::size_t bytes = 1000) {
  return {std::move(of), std::vector<std::uint8_t>(bytes, 7), 60s, {}};
}

struct Other {
  const char* name;
  PrefixKey key;
};
class EveryDimensionOfTheKey : public testing::TestWithParam<Other> {};

TEST_P(EveryDimensionOfTheKey, SameKeyHitsAndAnotherMisses) {
  PrefixCache cache({});
  ASSERT_TRUE(cache.keep(kKey, entry(tokens(50)), Time()));
  ASSERT_TRUE(cache.find(kKey, tokens(60), 32, Time())) << "control: the same key hits";
  EXPECT_EQ(cache.find(kKey, tokens(60), 32, Time())->common, 50u);
  EXPECT_FALSE(cache.find(GetParam().key, tokens(60), 32, Time()));
}

INSTANTIATE_TEST_SUITE_P(Key, EveryDimensionOfTheKey,
                         testing::Values(Other{"Tenant", {"evil", "s1", "model", "adapter"}},
                                         Other{"Session", {"acme", "s2", "model", "adapter"}},
                                         Other{"Model", {"acme", "s1", "model2", "adapter"}},
                                         Other{"Adapter", {"acme", "s1", "model", ""}},
                                         // Parts that only together spell the same.
                                         Other{"Joined", {"acm", "es1", "model", "adapter"}}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(PrefixCache, TheLongestCommonPrefixIsFound) {
  PrefixCache cache({});
  cache.keep(kKey, entry(tokens(40)), Time());
  Tokens other = tokens(30);
  other.resize(80, 5);
  cache.keep(kKey, entry(other), Time());
  EXPECT_EQ(cache.find(kKey, tokens(60), 32, Time())->common, 40u);
  EXPECT_FALSE(cache.find(kKey, tokens(20, 500), 1, Time()));
  EXPECT_FALSE(cache.find(kKey, tokens(31), 32, Time())) << "too short to be worth it";
}

TEST(PrefixCache, AContinuedPrefixReplacesWhatItContinues) {
  PrefixCache cache({});
  cache.keep(kKey, entry(tokens(40)), Time());
  cache.keep(kKey, entry(tokens(70)), Time());
  EXPECT_EQ(cache.entries(), 1u);
  EXPECT_EQ(cache.find(kKey, tokens(70), 32, Time())->common, 70u);
}

TEST(PrefixCache, OneTenantsUseNeverPushesOutAnothers) {
  PrefixCache cache({.partitions = 2, .partition_bytes = 10'000});
  cache.keep(kKey, entry(tokens(40)), Time());
  for (int i = 0; i < 100; ++i) {
    cache.keep({"flood", "s" + std::to_string(i), "model", ""}, entry(tokens(40), 2'000), Time());
  }
  EXPECT_TRUE(cache.find(kKey, tokens(40), 32, Time()));
  EXPECT_LE(cache.bytes(), 20'000u);
  EXPECT_FALSE(cache.find({"flood", "s0", "model", ""}, tokens(40), 32, Time())) << "its own oldest went";
  EXPECT_TRUE(cache.find({"flood", "s99", "model", ""}, tokens(40), 32, Time()));
  EXPECT_FALSE(cache.keep({"third", "s", "model", ""}, entry(tokens(40)), Time())) << "no partition is free";
  cache.burn_tenant("flood");
  EXPECT_TRUE(cache.keep({"third", "s", "model", ""}, entry(tokens(40)), Time()));
}

TEST(PrefixCache, WhatIsTooLargeIsNotKept) {
  PrefixCache cache({.partitions = 2, .partition_bytes = 1'000});
  EXPECT_FALSE(cache.keep(kKey, entry(tokens(40), 2'000), Time()));
  EXPECT_EQ(cache.entries(), 0u);
}

TEST(PrefixCache, BurnsASessionATenantAndWhatHasExpired) {
  PrefixCache cache({});
  Time start{};
  auto fill = [&] {
    cache.keep(kKey, entry(tokens(40)), start);
    cache.keep({"acme", "s2", "model", ""}, entry(tokens(40)), start);
    cache.keep({"other", "s1", "model", ""}, entry(tokens(40)), start + 30s);
  };
  fill();
  base::BurnReport session = cache.burn_session("acme", "s1");
  EXPECT_EQ(session.prefixes, 1u);
  EXPECT_EQ(session.tokens_erased, 40u);
  EXPECT_GE(session.find(base::Memory::PrefixRows)->bytes, 1'000u);
  EXPECT_TRUE(session.verified());
  EXPECT_EQ(cache.entries(), 2u);
  fill();
  EXPECT_EQ(cache.burn_tenant("acme").prefixes, 2u);
  fill();
  EXPECT_EQ(cache.next_expiry(), start + 60s);
  EXPECT_EQ(cache.burn_expired(start + 60s).prefixes, 2u);
  EXPECT_TRUE(cache.find({"other", "s1", "model", ""}, tokens(40), 32, start + 61s));
  EXPECT_EQ(cache.next_expiry(), start + 121s) << "a use is what counts";
  EXPECT_EQ(cache.burn_all().prefixes, 1u);
  EXPECT_FALSE(cache.next_expiry());
}

TEST(PrefixCache, AnExpiredEntryIsNotFoundBeforeItIsBurned) {
  PrefixCache cache({});
  cache.keep(kKey, entry(tokens(40)), Time());
  EXPECT_FALSE(cache.find(kKey, tokens(40), 32, Time() + 61s));
}

TEST(PrefixCache, ControlWithoutBurningNothingIsVerified) {
  PrefixCache cache({.burn = false});
  cache.keep(kKey, entry(tokens(40)), Time());
  EXPECT_FALSE(cache.burn_all().verified());
}

}  // namespace
}  // namespace bulkhead::inference
