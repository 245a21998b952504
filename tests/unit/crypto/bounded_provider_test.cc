// A provider that hangs: callers are let go in time, those after them at once, and it may come back.
#include "crypto/bounded_provider.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "crypto/aead.h"
#include "crypto/random.h"
#include "support/eventually.h"

namespace bulkhead::crypto {
namespace {

using std::chrono::milliseconds;

class Stubborn final : public KeyProvider {
 public:
  std::string describe() const override { return "stubborn"; }
  base::Result<base::Bytes> wrap(const base::Secret& key, std::string_view associated) override {
    wait();
    return seal(kek_, key.reveal(), base::as_bytes(associated));
  }
  base::Result<base::Secret> unwrap(base::ByteView box, std::string_view associated) override {
    wait();
    return open_secret(kek_, box, base::as_bytes(associated));
  }
  void hang(bool on) {
    std::lock_guard lock(mutex_);
    hangs_ = on;
    changed_.notify_all();
  }
  // Until a call is inside and hangs.
  void await_caught() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return inside_ > 0; });
  }
  void await_left() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return inside_ == 0; });
  }

 private:
  void wait() {
    std::unique_lock lock(mutex_);
    ++inside_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !hangs_; });
    --inside_;
    changed_.notify_all();
  }
  const base::Secret kek_ = random_secret(kAeadKeyBytes);
  std::mutex mutex_;
  std::condition_variable changed_;
  bool hangs_ = false;
  int inside_ = 0;
};

TEST(BoundedProviderTest, PassesOnWhatTheInnerOneSays) {
  auto inner = std::make_shared<Stubborn>();
  BoundedProvider bounded(inner, milliseconds(10'000));
  const base::Secret key = random_secret(32);
  auto box = bounded.wrap(key, "acme");
  ASSERT_TRUE(box.ok()) << box.error().describe();
  auto back = bounded.unwrap(*box, "acme");
  ASSERT_TRUE(back.ok());
  EXPECT_TRUE(*back == key);
  auto foreign = bounded.unwrap(*box, "bolt");
  ASSERT_FALSE(foreign.ok());
  EXPECT_TRUE(foreign.error().is(CryptoError::SealBroken));
  EXPECT_TRUE(try_provider(bounded).ok());
  EXPECT_EQ(bounded.describe(), "stubborn");
}

// Refused without a wait, as an earlier call hangs.
bool turned_away(BoundedProvider& provider, const base::Bytes& box) {
  auto opened = provider.unwrap(box, "acme");
  return !opened && opened.error().is(KeyProviderError::Unavailable) &&
         opened.error().describe().find("an earlier call still hangs") != std::string::npos;
}

TEST(BoundedProviderTest, LetsCallersGoInTimeAndThoseAfterThemAtOnce) {
  auto inner = std::make_shared<Stubborn>();
  BoundedProvider bounded(inner, milliseconds(50));
  const base::Secret key = random_secret(32);
  auto box = bounded.wrap(key, "acme");
  ASSERT_TRUE(box.ok()) << "control: it answers while nothing hangs";
  inner->hang(true);
  auto late = bounded.unwrap(*box, "acme");
  ASSERT_FALSE(late.ok());
  EXPECT_TRUE(late.error().is(KeyProviderError::Unavailable)) << late.error().describe();
  inner->await_caught();
  // Who waits is told of a limit that ran out, and who is turned away at once of the call that hangs.
  EXPECT_NE(late.error().describe().find("no answer within 50 ms"), std::string::npos)
      << late.error().describe();
  ASSERT_TRUE(test::eventually([&] { return turned_away(bounded, *box); })) << "the call is past its limit";
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(turned_away(bounded, *box));
  inner->hang(false);
  inner->await_left();
  // The thread that was caught goes on with the next call; until it has come so far, callers are refused.
  auto again = bounded.unwrap(*box, "acme");
  for (int i = 0; i < 100'000 && !again; ++i) again = bounded.unwrap(*box, "acme");
  ASSERT_TRUE(again.ok()) << again.error().describe();
  EXPECT_TRUE(*again == key);
}

TEST(BoundedProviderTest, MayBeDestroyedWhileItsCallHangs) {
  auto inner = std::make_shared<Stubborn>();
  const base::Secret key = random_secret(32);
  {
    BoundedProvider bounded(inner, milliseconds(20));
    inner->hang(true);
    EXPECT_FALSE(bounded.wrap(key, "acme").ok());
    inner->await_caught();
  }
  EXPECT_GT(inner.use_count(), 1) << "the thread that was left behind still holds it";
  inner->hang(false);
  inner->await_left();
}

TEST(BoundedProviderTest, ServesManyThreads) {
  auto inner = std::make_shared<Stubborn>();
  BoundedProvider bounded(inner, milliseconds(30'000));
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, name = "tenant" + std::to_string(i)] {
      for (int round = 0; round < 50; ++round) {
        const base::Secret key = random_secret(32);
        auto box = bounded.wrap(key, name);
        auto back = box ? bounded.unwrap(*box, name) : base::Result<base::Secret>(box.take_error());
        if (back && *back == key) ++right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 400);
}

}  // namespace
}  // namespace bulkhead::crypto
