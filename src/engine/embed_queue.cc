#include "engine/embed_queue.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

#include "base/fair_classes.h"

namespace bulkhead::engine {

using base::Error;
using base::Result;
using base::Task;

namespace {

constexpr double kCredit = 16u << 10;  // bytes of text: a small document's

struct Waiter {
  base::Event called;
  double cost = 0;
  bool admitted = false;
  bool gone = false;
};
using WaiterPtr = std::shared_ptr<Waiter>;

}  // namespace

struct EmbedQueue::Impl {
  explicit Impl(EmbedQueueOptions o)
      : options{std::max<std::size_t>(o.capacity, 1), std::max<std::size_t>(o.interactive_per_tenant, 1),
                std::max<std::size_t>(o.background_max, 1), o.line_max} {}
  const EmbedQueueOptions options;
  using Inside = std::map<std::string, std::size_t>;  // turns by tenant; none has zero

  mutable std::mutex mutex;
  base::FairClasses<WaiterPtr> waiting{kCredit};
  std::size_t inside = 0, background_inside = 0;
  Inside interactive_of, background_of;

  static bool is_background(std::size_t priority) { return priority > 0; }
  Inside& inside_of(std::size_t priority) { return is_background(priority) ? background_of : interactive_of; }

  // The lock is held.
  bool may_enter(std::size_t priority, const std::string& tenant) {
    std::size_t most = options.interactive_per_tenant;
    if (is_background(priority)) {
      if (background_inside >= options.background_max) return false;
      most = std::max<std::size_t>(1, options.background_max / 2);
    }
    const auto mine = inside_of(priority).find(tenant);
    return mine == inside_of(priority).end() || mine->second < most;
  }

  // The lock is held; gives whom to call.
  std::vector<WaiterPtr> admit() {
    std::vector<WaiterPtr> called;
    while (inside < options.capacity) {
      auto taken = waiting.take(
          [this](std::size_t priority, const std::string& tenant) { return may_enter(priority, tenant); });
      if (!taken) break;
      ++inside;
      if (is_background(taken->priority)) ++background_inside;
      ++inside_of(taken->priority)[taken->party];
      waiting.charge(taken->priority, taken->party, taken->item->cost);
      taken->item->admitted = true;
      called.push_back(std::move(taken->item));
    }
    return called;
  }

  void leave(std::size_t priority, const std::string& tenant) {
    std::vector<WaiterPtr> called;
    {
      std::lock_guard lock(mutex);
      --inside;
      if (is_background(priority)) --background_inside;
      Inside& tenants = inside_of(priority);
      if (const auto mine = tenants.find(tenant); --mine->second == 0) tenants.erase(mine);
      called = admit();
    }
    for (const WaiterPtr& each : called) each->called.set();
  }

  // False when it was admitted meanwhile.
  bool give_up(const WaiterPtr& waiter) {
    std::lock_guard lock(mutex);
    if (waiter->admitted) return false;
    waiting.remove_if([&](const WaiterPtr& each) { return each == waiter; },
                      [](const WaiterPtr& each) { each->gone = true; });
    return waiter->gone;
  }
};

struct EmbedQueue::Turn::State {
  std::shared_ptr<EmbedQueue::Impl> queue;
  std::size_t priority;
  std::string tenant;
  State(std::shared_ptr<EmbedQueue::Impl> q, std::size_t p, std::string t)
      : queue(std::move(q)), priority(p), tenant(std::move(t)) {}
  ~State() { queue->leave(priority, tenant); }
};

EmbedQueue::Turn::~Turn() = default;

EmbedQueue::EmbedQueue(EmbedQueueOptions options) : impl_(std::make_shared<Impl>(options)) {}
EmbedQueue::~EmbedQueue() = default;

Task<Result<EmbedQueue::Turn>> EmbedQueue::enter(base::TenantId tenant, double weight, Priority priority,
                                                 double cost, base::CancelToken cancel) {
  std::shared_ptr<Impl> impl = impl_;
  const auto level = static_cast<std::size_t>(priority);
  auto waiter = std::make_shared<Waiter>();
  waiter->cost = cost;
  std::vector<WaiterPtr> called;
  {
    std::lock_guard lock(impl->mutex);
    if (impl->waiting.size(tenant.str()) >= impl->options.line_max) {
      co_return Error(EngineError::QueueFull,
                      "Too many requests of this tenant are waiting for the model. Try again in a moment.");
    }
    impl->waiting.push(level, tenant.str(), weight, waiter);
    called = impl->admit();
  }
  for (const WaiterPtr& each : called) each->called.set();
  auto watching = cancel.on_cancel([impl, waiter] {
    if (impl->give_up(waiter)) waiter->called.set();
  });
  co_await waiter->called;
  if (waiter->gone) {
    co_return Error(EngineError::Cancelled, "The request was cancelled while it waited.", cancel.reason());
  }
  co_return Turn(std::make_shared<Turn::State>(impl, level, tenant.str()));
}

std::size_t EmbedQueue::inside() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->inside;
}

std::size_t EmbedQueue::waiting() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->waiting.size();
}

}  // namespace bulkhead::engine
