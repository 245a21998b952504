#include "crypto/bounded_provider.h"

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>

namespace bulkhead::crypto {

using base::Error;
using base::Result;

namespace {

using Clock = std::chrono::steady_clock;

// Callers block, so this is a bound on threads that wait; beyond it a token is too slow to be waited for.
constexpr std::size_t kWaitingMax = 256;

struct Call {
  std::function<void(KeyProvider&)> work;
  bool done = false, given_up = false;
};

}  // namespace

struct BoundedProvider::State {
  State(std::shared_ptr<KeyProvider> provider, std::chrono::milliseconds limit)
      : inner(std::move(provider)), name(inner->describe()), call_time_max(limit) {}

  const std::shared_ptr<KeyProvider> inner;
  const std::string name;
  const std::chrono::milliseconds call_time_max;
  std::mutex mutex;
  std::condition_variable wanted, changed;
  std::deque<std::shared_ptr<Call>> waiting;
  std::optional<Clock::time_point> running_since;
  bool stopping = false, ended = false;

  Error late(std::string_view how) const {
    return Error(KeyProviderError::Unavailable, "The key provider does not answer. Try again later.",
                 name + ": " + std::string(how));
  }

  // `work` must hold by value all that it uses: the caller may be gone before it runs.
  template <typename T>
  Result<T> run(std::function<Result<T>(KeyProvider&)> work) {
    const auto deadline = Clock::now() + call_time_max;
    auto answer = std::make_shared<std::optional<Result<T>>>();
    auto call = std::make_shared<Call>();
    call->work = [answer, work = std::move(work)](KeyProvider& provider) { answer->emplace(work(provider)); };
    std::unique_lock lock(mutex);
    if (running_since && Clock::now() - *running_since > call_time_max) {
      return late("an earlier call still hangs");
    }
    if (waiting.size() >= kWaitingMax) return late("too many calls wait for it");
    waiting.push_back(call);
    wanted.notify_one();
    if (!changed.wait_until(lock, deadline, [&] { return call->done; })) {
      call->given_up = true;
      return late("no answer within " + std::to_string(call_time_max.count()) + " ms");
    }
    return std::move(**answer);
  }

  void make_calls() {
    std::unique_lock lock(mutex);
    while (true) {
      wanted.wait(lock, [&] { return stopping || !waiting.empty(); });
      if (stopping) break;
      std::shared_ptr<Call> call = std::move(waiting.front());
      waiting.pop_front();
      if (call->given_up) continue;
      running_since = Clock::now();
      lock.unlock();
      call->work(*inner);
      // Its copy of the keys goes now, not when the next call comes.
      call->work = nullptr;
      lock.lock();
      running_since.reset();
      call->done = true;
      changed.notify_all();
    }
    ended = true;
    changed.notify_all();
  }
};

BoundedProvider::BoundedProvider(std::shared_ptr<KeyProvider> inner, std::chrono::milliseconds call_time_max)
    : state_(std::make_shared<State>(std::move(inner), call_time_max)),
      thread_([state = state_] { state->make_calls(); }) {}

BoundedProvider::~BoundedProvider() {
  bool ended = false;
  {
    std::unique_lock lock(state_->mutex);
    state_->stopping = true;
    state_->wanted.notify_all();
    const auto since = state_->running_since.value_or(Clock::now());
    ended = state_->changed.wait_until(lock, since + state_->call_time_max, [&] { return state_->ended; });
  }
  if (ended)
    thread_.join();
  else
    thread_.detach();
}

std::string BoundedProvider::describe() const { return state_->name; }

Result<base::Bytes> BoundedProvider::wrap(const base::Secret& key, std::string_view associated) {
  auto copy = std::make_shared<const base::Secret>(key.clone());
  return state_->run<base::Bytes>(
      [copy, context = std::string(associated)](KeyProvider& inner) { return inner.wrap(*copy, context); });
}

Result<base::Secret> BoundedProvider::unwrap(base::ByteView box, std::string_view associated) {
  return state_->run<base::Secret>(
      [copy = base::Bytes(box.begin(), box.end()), context = std::string(associated)](KeyProvider& inner) {
        return inner.unwrap(copy, context);
      });
}

}  // namespace bulkhead::crypto
