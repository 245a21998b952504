// Proves that what is freed is cleared (invariant I6), each time with the control that the same
// search finds the bytes when the clearing is switched off.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/memory.h"
#include "base/scrub.h"

namespace bulkhead::base {
namespace {

// What is planted and looked for; another one for each experiment, so that the residue of a control
// can't be mistaken for a failure of the next.
std::string& needle() {
  static std::string text;
  return text;
}

class ScrubHeapTest : public testing::Test {
 protected:
  void TearDown() override { set_heap_scrubbing(true); }

  // How often the needle is found after `plant_and_free` ran, with clearing on and off.
  template <typename F>
  void expect_cleared(F plant_and_free) {
    new_needle();
    set_heap_scrubbing(true);
    plant_and_free();
    EXPECT_EQ(test::occurrences(needle()), 0u);
    new_needle();
    set_heap_scrubbing(false);
    plant_and_free();
    EXPECT_GE(test::occurrences(needle()), 1u) << "control: without clearing it must be found";
    set_heap_scrubbing(true);
  }

  static void new_needle() {
    static int count = 1000;
    needle() = test::masked("Diagnosis F32.1 of patient " + std::to_string(++count));
  }

  // Past the words that the free list itself keeps at the block's start.
  static void plant(void* block, std::size_t offset = 32) {
    test::unmask_into(static_cast<char*>(block) + offset, needle());
    asm volatile("" : : "r"(block) : "memory");
  }
};

// Blocks of up to some KiB are kept a thread for the next request of their size.
TEST_F(ScrubHeapTest, KeptBlocksAreClearedAndLargeEnough) {
  std::vector<void*> blocks;
  for (std::size_t bytes = 1; bytes < 10000; bytes += bytes < 1200 ? 1 : 37) {
    void* block = malloc(bytes);
    ASSERT_GE(malloc_usable_size(block), bytes);
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(block) % alignof(std::max_align_t), 0u);
    blocks.push_back(block);
  }
  expect_cleared([&] {
    void* block = malloc(2000);
    plant(block);
    free(block);
  });
  for (void* block : blocks) {
    std::memset(block, 'x', malloc_usable_size(block));
    free(block);
  }
  for (std::size_t bytes = 1; bytes < 10000; bytes += bytes < 1200 ? 1 : 41) {
    auto* block = static_cast<char*>(malloc(bytes));
    ASSERT_GE(malloc_usable_size(block), bytes);
    // Not single bytes: what was too much to keep holds words of glibc's own lists.
    EXPECT_EQ(std::string_view(block, bytes).find("xxxxxxxx"), std::string_view::npos) << bytes;
    std::memset(block, 'y', bytes);
    free(block);
    auto* zeroed = static_cast<char*>(calloc(bytes, 1));
    EXPECT_EQ(std::count(zeroed, zeroed + bytes, 0), static_cast<std::ptrdiff_t>(bytes));
    free(zeroed);
  }
}

TEST_F(ScrubHeapTest, KeptBlocksComeBack) {
  for (std::size_t bytes : {1u, 24u, 25u, 100u, 1016u, 1017u, 1024u, 1500u, 8192u}) {
    void* volatile block = malloc(bytes);
    const auto first = reinterpret_cast<std::uintptr_t>(block);
    free(block);
    block = malloc(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block), first) << bytes;
    free(block);
  }
}

using ScrubHeapDeathTest = ScrubHeapTest;
TEST_F(ScrubHeapDeathTest, FreeingTwiceEndsTheProcess) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  for (std::size_t bytes : {24u, 100u, 3000u}) {
    EXPECT_EXIT(
        {
          void* volatile block = malloc(bytes);
          free(block);
          free(block);
        },
        testing::KilledBySignal(SIGABRT), "")
        << bytes;
  }
}

TEST_F(ScrubHeapTest, IsLinked) {
  EXPECT_TRUE(heap_scrubbing_linked());
  EXPECT_TRUE(heap_scrubbing()) << "on from the first instruction";
}

TEST_F(ScrubHeapTest, FreeClearsSmallAndLargeBlocks) {
  for (std::size_t bytes : {100u, 1000u, 20'000u, 100'000u}) {
    expect_cleared([bytes] {
      void* block = std::malloc(bytes);
      plant(block, bytes - 40);
      std::free(block);
    });
  }
}

TEST_F(ScrubHeapTest, FreeClearsWhateverAllocatedIt) {
  expect_cleared([] {
    void* block = std::calloc(10, 50);
    plant(block);
    std::free(block);
  });
  expect_cleared([] {
    void* block = std::aligned_alloc(64, 512);
    plant(block);
    std::free(block);
  });
  expect_cleared([] {
    void* block = nullptr;
    ASSERT_EQ(::posix_memalign(&block, 256, 512), 0);
    plant(block);
    std::free(block);
  });
  expect_cleared([] {
    void* block = ::memalign(128, 512);
    plant(block);
    std::free(block);
  });
  expect_cleared([] {
    auto text = std::make_unique<std::string>(200, 'x');
    plant(text->data());
  });
}

TEST_F(ScrubHeapTest, ReallocLeavesNoCopyBehind) {
  expect_cleared([] {
    void* blocks[40];
    for (void*& block : blocks) block = std::malloc(200);
    asm volatile("" : : "r"(blocks) : "memory");  // or the optimiser drops the neighbours
    void*& middle = blocks[20];                   // has neighbours, so it can't grow where it is
    plant(middle);
    middle = std::realloc(middle, 5000);
    std::memset(middle, 0, 5000);  // the copy that is in use; the one it came from is the question
    asm volatile("" : : "r"(middle) : "memory");
    for (void* block : blocks) std::free(block);
  });
}

TEST_F(ScrubHeapTest, ReallocClearsWhatItCutsOff) {
  for (std::size_t smaller : {60u, 800u}) {  // moved, and cut where it stands
    expect_cleared([smaller] {
      void* block = std::malloc(1000);
      plant(block, 900);
      block = std::realloc(block, smaller);
      asm volatile("" : : "r"(block) : "memory");
      std::free(block);
    });
  }
}

TEST_F(ScrubHeapTest, ReallocKeepsContents) {
  std::string pattern(3000, 0);
  for (std::size_t i = 0; i < pattern.size(); ++i) pattern[i] = static_cast<char>(i * 7);
  for (std::size_t from : {1u, 16u, 24u, 25u, 100u, 1000u, 3000u}) {
    for (std::size_t to : {1u, 16u, 24u, 25u, 100u, 1000u, 3000u, 300'000u}) {
      char* block = static_cast<char*>(std::malloc(from));
      std::memcpy(block, pattern.data(), from);
      block = static_cast<char*>(std::realloc(block, to));
      ASSERT_NE(block, nullptr);
      EXPECT_EQ(std::memcmp(block, pattern.data(), std::min(from, to)), 0) << from << " to " << to;
      EXPECT_GE(malloc_usable_size(block), to);
      std::free(block);
    }
  }
}

TEST_F(ScrubHeapTest, StringsThatGrowLeaveNoTrail) {
  expect_cleared([] {
    std::string text;
    for (int i = 0; i < 20; ++i) {
      std::size_t at = text.size();
      text.append(needle().size(), 'x');
      test::unmask_into(text.data() + at, needle());
    }
  });
}

TEST_F(ScrubHeapTest, BuffersOfLibrariesAreClearedToo) {
  expect_cleared([] {
    std::ostringstream out;  // its buffer grows inside libstdc++
    std::string piece(needle().size(), 'x');
    for (int i = 0; i < 40; ++i) {
      test::unmask_into(piece.data(), needle());
      out << "............................................" << piece;
    }
    explicit_bzero(piece.data(), piece.size());
  });
}

TEST_F(ScrubHeapTest, OtherThreads) {
  expect_cleared([] {
    std::thread([] {
      void* block = std::malloc(300);
      plant(block);
      std::free(block);
    }).join();
  });
}

TEST_F(ScrubHeapTest, ThreadsFreeEachOthersBlocks) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      std::vector<void*> held(64, nullptr);
      for (std::size_t i = 0; i < 50'000; ++i) {
        void*& slot = held[i % held.size()];
        slot = std::realloc(slot, (i * 31) % 900 + 1);
        if (i % 7 == 0) {
          std::free(slot);
          slot = nullptr;
        }
      }
      for (void* block : held) std::free(block);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(ScrubHeapTest, KeepsTheRulesOfMalloc) {
  std::free(nullptr);
  errno = 77;
  std::free(std::malloc(100));
  EXPECT_EQ(errno, 77) << "free keeps errno";
  void* fresh = std::realloc(nullptr, 40);
  EXPECT_NE(fresh, nullptr);
  std::free(fresh);
  volatile std::size_t huge = SIZE_MAX / 2;
  void* kept = std::malloc(40);
  std::memset(kept, 3, 40);
  EXPECT_EQ(std::realloc(kept, huge), nullptr);
  EXPECT_EQ(static_cast<char*>(kept)[39], 3) << "a failed realloc leaves the block";
  std::free(kept);
  EXPECT_EQ(std::calloc(huge, 4), nullptr);
  void* block = nullptr;
  EXPECT_EQ(::posix_memalign(&block, 3, 100), EINVAL);
  EXPECT_EQ(::posix_memalign(&block, 4096, 100), 0);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % 4096, 0u);
  std::free(block);
  void* zeroed = std::calloc(100, 10);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(static_cast<char*>(zeroed)[i], 0);
  std::free(zeroed);
}

}  // namespace
}  // namespace bulkhead::base
