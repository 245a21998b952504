#include "base/memory_lock.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

namespace bulkhead::base {
namespace {

constexpr std::string_view kNone = "Filename Type Size Used Priority\n";
constexpr std::string_view kActive = "Filename Type Size Used Priority\n/dev/vda2 partition 1000 0 -2\n";

TEST(MemoryLocks, WhatIsSaidOfEachCase) {
  EXPECT_EQ(judge_memory_lock(true, true, kNone), MemoryLock::Locked);
  EXPECT_EQ(judge_memory_lock(true, true, kActive), MemoryLock::Locked);
  EXPECT_EQ(judge_memory_lock(true, false, kActive), MemoryLock::MaySwap);
  EXPECT_EQ(judge_memory_lock(false, false, kActive), MemoryLock::MaySwap);
  EXPECT_EQ(judge_memory_lock(false, false, kNone), MemoryLock::NoSwap);
  EXPECT_EQ(judge_memory_lock(false, false, ""), MemoryLock::NoSwap) << "a kernel without swap";
}

long locked_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmLck:")) return std::stol(line.substr(6));
  }
  return -1;
}

// In a child, since it can't be taken back: 64 MiB are mapped after the lock and touched.
TEST(MemoryLocks, ALockedProcessKeepsWhatItMapsLater) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    (defined(__has_feature) && (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer)))
  GTEST_SKIP() << "the sanitizers' runtime turns mlock into nothing";
#endif
  constexpr std::size_t kBytes = 64u << 20;
  auto child = [](bool lock) {
    pid_t pid = ::fork();
    if (pid == 0) {
      if (lock && lock_process_memory() != MemoryLock::Locked) ::_exit(2);
      void* text = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (text == MAP_FAILED) ::_exit(3);
      static_cast<volatile char*>(text)[kBytes / 2] = 1;
      ::_exit(locked_kib() >= static_cast<long>(kBytes >> 10) ? 0 : 1);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
  };
  int locked = child(true);
  if (locked == 2) GTEST_SKIP() << "this user may not lock memory (RLIMIT_MEMLOCK)";
  EXPECT_EQ(locked, 0);
  EXPECT_EQ(child(false), 1) << "control: without the call nothing is locked";
}

}  // namespace
}  // namespace bulkhead::base
