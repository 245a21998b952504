#include "base/secret.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <sstream>
#include <thread>
#include <type_traits>
#include <vector>

#include "base/memory.h"

namespace bulkhead::base {
namespace {

static_assert(!std::is_copy_constructible_v<Secret> && !std::is_copy_assignable_v<Secret>);

TEST(SecretTest, HoldsComparesAndRedacts) {
  Secret secret = Secret::copy_of("correct horse");
  EXPECT_EQ(secret.reveal_text(), "correct horse");
  EXPECT_TRUE(secret == secret.clone());
  EXPECT_FALSE(secret == Secret::copy_of("correct hors"));
  EXPECT_FALSE(secret == Secret::copy_of("correct horsf"));
  std::ostringstream out;
  out << secret;
  EXPECT_EQ(out.str(), "[redacted]");
  EXPECT_TRUE(Secret().empty());
  EXPECT_TRUE(Secret(0).reveal_text().empty());
}

TEST(SecretTest, MovesWithoutCopying) {
  Secret secret = Secret::copy_of("a key");
  const std::uint8_t* data = secret.reveal().data();
  Secret moved = std::move(secret);
  EXPECT_EQ(moved.reveal().data(), data);
  EXPECT_TRUE(secret.empty());  // NOLINT: moved-from is empty by contract
  Secret assigned = Secret::copy_of("another");
  assigned = std::move(moved);
  EXPECT_EQ(assigned.reveal_text(), "a key");
}

TEST(SecretTest, FreshOnesAreZeroThoughTheirPlaceWasUsed) {
  for (int round = 0; round < 10; ++round) {
    Secret secret(48);
    for (std::uint8_t byte : secret.reveal()) EXPECT_EQ(byte, 0);
    std::memset(secret.writable(), 0xAA, secret.size());
  }
}

TEST(SecretTest, TheDestructorClears) {
  auto secret = std::make_unique<Secret>(Secret::copy_of("sixteen bytes ok"));
  const std::uint8_t* data = secret->reveal().data();
  ASSERT_EQ(data[0], 's') << "control";
  secret.reset();
  // The arena stays mapped, so what is there now can be looked at.
  for (int i = 0; i < 16; ++i) EXPECT_EQ(data[i], 0);
}

// The flags of the mapping that holds `address`, as in /proc/self/smaps.
[[maybe_unused]] std::string mapping_flags(const void* address) {
  std::FILE* smaps = std::fopen("/proc/self/smaps", "r");
  char line[512];
  bool inside = false;
  std::string flags;
  while (smaps && std::fgets(line, sizeof line, smaps)) {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    if (std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &begin, &end) == 2) {
      auto at = reinterpret_cast<std::uintptr_t>(address);
      inside = at >= begin && at < end;
    }
    if (inside && std::strncmp(line, "VmFlags:", 8) == 0) flags = line + 8;
  }
  if (smaps) std::fclose(smaps);
  return flags;
}

TEST(SecretTest, LivesInLockedPagesLeftOutOfCores) {
#ifdef BULKHEAD_TEST_NO_MEMORY_SCAN
  GTEST_SKIP() << "the sanitizers' runtime turns mlock into nothing";
#else
  Secret secret = Secret::copy_of("a key");
  std::string flags = mapping_flags(secret.reveal().data());
  if (flags.empty()) GTEST_SKIP() << "this kernel tells no VmFlags";
  EXPECT_NE(flags.find(" lo"), std::string::npos) << flags;
  EXPECT_NE(flags.find(" dd"), std::string::npos) << flags;
  auto ordinary = std::make_unique<int>(1);
  EXPECT_EQ(mapping_flags(ordinary.get()).find(" lo"), std::string::npos) << "control";
#endif
}

TEST(SecretTest, IsAbsentInForkedChildren) {
  Secret secret = Secret::copy_of("a key");
  auto ordinary = std::make_unique<int>(77);
  pid_t child = ::fork();
  if (child == 0) {
    bool gone = secret.reveal()[0] != 'a';
    ::_exit((gone ? 1 : 0) | (*ordinary == 77 ? 2 : 0));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 3) << "the key is gone; the control, ordinary memory, is there";
  EXPECT_EQ(secret.reveal_text(), "a key");
}

TEST(SecretTest, ManySizesFromManyThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      std::vector<Secret> held;
      for (std::size_t i = 0; i < 2000; ++i) {
        Secret secret((i * 37 + static_cast<std::size_t>(t)) % 300 + 1);
        for (std::uint8_t byte : secret.reveal()) ASSERT_EQ(byte, 0);
        std::memset(secret.writable(), t + 1, secret.size());
        if (held.size() < 50)
          held.push_back(std::move(secret));
        else
          held[i % 50] = std::move(secret);
        for (const Secret& other : held) ASSERT_EQ(other.reveal()[other.size() - 1], t + 1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(SecretTest, GrowsAndReusesWhatWasFreed) {
  Secret large(600 << 10);
  large.writable()[large.size() - 1] = 1;
  const std::uint8_t* data = large.reveal().data();
  large = Secret();
  Secret again(600 << 10);
  EXPECT_EQ(again.reveal().data(), data);
}

[[maybe_unused]] void lock_without_permission() {
  // Root may lock any amount, so the child becomes somebody else first.
  if (::geteuid() == 0 && ::setuid(65534) != 0) std::abort();
  rlimit none{};
  ::setrlimit(RLIMIT_MEMLOCK, &none);
  Secret secret(4 << 20);
}

TEST(SecretDeathTest, RefusedLockingAborts) {
#ifdef BULKHEAD_TEST_NO_MEMORY_SCAN
  GTEST_SKIP() << "the sanitizers' runtime turns mlock into nothing";
#else
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(lock_without_permission(), "RLIMIT_MEMLOCK");
#endif
}

#ifndef BULKHEAD_TEST_NO_MEMORY_SCAN
TEST(SecretTest, NoCopyIsLeftInMemory) {
  const std::string needle = test::masked("platform key 0123456789abcdef");
  {
    Secret secret(needle.size());
    test::unmask_into(reinterpret_cast<char*>(secret.writable()), needle);
    Secret copy = secret.clone();
    EXPECT_EQ(test::occurrences(needle), 2u) << "control";
  }
  EXPECT_EQ(test::occurrences(needle), 0u);
}
#endif

}  // namespace
}  // namespace bulkhead::base
