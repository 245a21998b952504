// Implementation of the templates of task.h; include that one.
#pragma once

#include "base/task.h"

namespace bulkhead::base {

// An executor driven by the thread that owns it.
class ManualExecutor final : public Executor {
 public:
  void post(std::function<void()> work) override;
  // Runs queued work, waiting for more, until `done` says so (checked after each piece).
  void run_until(const std::function<bool()>& done);

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::function<void()>> queue_;
};

namespace detail {
template <typename T>
Task<void> store_result(Task<T> task, std::optional<T>* out) {
  out->emplace(co_await std::move(task));
}
}  // namespace detail

template <typename T>
T run_blocking(Task<T> task) {
  ManualExecutor executor;
  bool finished = false;
  if constexpr (std::is_void_v<T>) {
    spawn(executor, std::move(task), [&finished] { finished = true; });
    executor.run_until([&finished] { return finished; });
  } else {
    std::optional<T> result;
    spawn(executor, detail::store_result(std::move(task), &result), [&finished] { finished = true; });
    executor.run_until([&finished] { return finished; });
    return std::move(*result);
  }
}

}  // namespace bulkhead::base
