// FairPool: threads for work that blocks (databases, files, key derivation, processes), shared fairly.
//
// All work is done for a party: a tenant, or a kind of operator's work. Parties are served in turn
// (base/fair_lines.h), one piece of work each; within a party first come, first served, background work
// last. No party holds more than its share of the threads, and the last few free threads are lent only to
// parties that hold none, so that a newcomer finds one although others keep theirs for long. What waits is
// bounded for each party; beyond that the work is refused.
//
// Threads that wait cost nobody anything, threads that compute take the processor from everybody, so turns
// alone are not fair. The processor time of each party is measured; while one uses more than its share, its
// work goes to threads apart, which yield the processor to all others (nice, setpriority(2)), and to no
// others. Its work gets what the others leave, and never nothing.
//
// Cancellation: work that waits is dropped as soon as its token is cancelled, and never runs. Work that
// runs is not touched: it may look at `running_cancel` and end early where that is safe, which it is for
// reads; writes finish.
//
// Errors: PoolError. Thread safety: all members from every thread. The pool outlives every awaiting
// coroutine; its destructor finishes what waits.
#pragma once

#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "base/fair_lines.h"
#include "base/result.h"
#include "base/task.h"

namespace bulkhead::base {

enum class PoolError {
  QueueFull,  // too much work of this party waits already
  Cancelled,  // the token was cancelled while the work waited; it did not run
};
ErrorName error_name(PoolError code);

struct FairPoolOptions {
  std::size_t threads = 8;
  // Held by one party's work at once; at most one less than `threads`, if there are two.
  std::size_t threads_per_party = 4;
  // Free threads that are lent only to parties that hold none.
  std::size_t threads_reserved = 2;
  // Work of one party that waits; what comes on top is refused. Background work is not: whoever starts it
  // bounds it.
  std::size_t waiting_per_party = 256;
  // Threads beside `threads` for parties that compute more than their share, one party's at most one less
  // than all of them; 0: there is no difference.
  std::size_t heavy_threads = 0;
  // Processor seconds a second, on average over about a second, from which a party counts as heavy.
  double heavy_share = 0.25;
  // The processor time of the calling thread so far; null: the kernel's.
  std::function<std::chrono::nanoseconds()> thread_time;
};

class FairPool {
 public:
  using Options = FairPoolOptions;

  // For whom, until when, and how urgently.
  struct Turn {
    std::string party;
    CancelToken cancel = {};
    bool background = false;  // behind all other work of its party
  };

  explicit FairPool(Options options = {});
  ~FairPool();
  FairPool(const FairPool&) = delete;

  // Runs `work`, which returns a Result, on a thread of the pool; the awaiting coroutine resumes on its own
  // executor with that result, or with a PoolError when it did not run.
  template <typename F>
  auto run(Turn turn, F work) -> Task<std::invoke_result_t<F>> {
    std::optional<std::invoke_result_t<F>> result;
    std::shared_ptr<Item> item = make_item(std::move(turn), [&result, &work] { result.emplace(work()); });
    co_await Awaiter{*this, item};
    if (!result) co_return refusal(*item);
    co_return std::move(*result);
  }
  // Without a coroutine: runs `work` some time. False: too much of this party waits already.
  bool post(Turn turn, std::function<void()> work);

  // The token of the work that runs on this thread; null on threads that run none, and for work that changed
  // something.
  static const CancelToken* running_cancel();
  // The work on this thread begins to change something: from here on it is to come to its end, and
  // `running_cancel` is null, so that nobody is told of a failure of what was done.
  static void finish_what_runs();

  struct Stats {
    std::size_t waiting = 0, running = 0;
    std::uint64_t refused = 0, dropped = 0;  // since the start
    std::uint64_t heavy = 0;                 // work that ran on the threads apart, since the start
    Stats& operator+=(const Stats& other) {
      waiting += other.waiting;
      running += other.running;
      refused += other.refused;
      dropped += other.dropped;
      heavy += other.heavy;
      return *this;
    }
  };
  Stats stats() const;

 private:
  struct Item;
  struct Awaiter {
    FairPool& pool;
    std::shared_ptr<Item> item;
    bool await_ready() const { return false; }
    bool await_suspend(std::coroutine_handle<> handle);
    void await_resume() const {}
  };
  static std::shared_ptr<Item> make_item(Turn turn, std::function<void()> work);
  static Error refusal(const Item& item);
  bool submit(std::shared_ptr<Item> item);
  void drop(const std::shared_ptr<Item>& item);
  enum class Lane { Normal, Heavy };  // of a thread
  bool may_take(const std::string& party, Lane lane);
  std::shared_ptr<Item> take(Lane lane);
  void finish(const Item& item, std::chrono::nanoseconds computed);
  void thread_main(Lane lane);
  bool is_heavy(const std::string& party);
  void note_use(const std::string& party, std::chrono::nanoseconds computed);

  const Options options_;
  mutable std::mutex mutex_;
  std::condition_variable ready_, ready_heavy_;
  FairLines<std::shared_ptr<Item>> waiting_;
  std::map<std::string, std::size_t> running_;  // threads held by party; no zeros
  std::size_t busy_ = 0;
  std::map<std::string, std::size_t> running_heavy_;
  std::size_t busy_heavy_ = 0;
  // Processor time of parties that used some lately.
  struct Usage {
    double seconds = 0;  // faded to `at`
    std::chrono::steady_clock::time_point at;
  };
  std::map<std::string, Usage> usage_;
  std::uint64_t refused_ = 0, dropped_ = 0, heavy_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace bulkhead::base
