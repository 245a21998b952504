#include "engine/fair_queue.h"

#include <algorithm>
#include <deque>
#include <list>
#include <map>
#include <mutex>

namespace bulkhead::engine {

using base::Error;
using base::Result;
using base::Task;

namespace {

struct Waiter {
  base::Event called;
  bool admitted = false;
  bool gone = false;
};

}  // namespace

struct FairQueue::Impl {
  Impl(std::size_t c, std::size_t l, std::size_t t) : capacity(c), line_max(l), tenant_max(t) {}
  const std::size_t capacity;
  const std::size_t line_max;
  const std::size_t tenant_max;

  mutable std::mutex mutex;
  std::size_t inside = 0;
  std::size_t waiting = 0;
  std::map<base::TenantId, std::deque<std::shared_ptr<Waiter>>> lines;
  std::list<base::TenantId> turns;  // tenants with a line, next one first
  std::map<base::TenantId, std::size_t> inside_of;

  // The lock is held. Whoever waits while this holds is of a tenant that has its most inside.
  bool has_room(const base::TenantId& tenant) const {
    const auto mine = inside_of.find(tenant);
    return inside < capacity && (mine == inside_of.end() ? 0 : mine->second) < tenant_max;
  }
  void count_in(const base::TenantId& tenant) {
    ++inside;
    ++inside_of[tenant];
  }

  // Gives the freed place to the next line's first waiter. Called with the lock held; returns whom
  // to wake.
  std::shared_ptr<Waiter> admit_next() {
    const auto next =
        std::find_if(turns.begin(), turns.end(), [this](const auto& each) { return has_room(each); });
    if (next == turns.end()) return nullptr;
    base::TenantId tenant = *next;
    turns.erase(next);
    auto line = lines.find(tenant);
    std::shared_ptr<Waiter> waiter = line->second.front();
    line->second.pop_front();
    if (line->second.empty()) {
      lines.erase(line);
    } else {
      turns.push_back(tenant);
    }
    --waiting;
    count_in(tenant);
    waiter->admitted = true;
    return waiter;
  }

  void leave(const base::TenantId& tenant) {
    std::shared_ptr<Waiter> next;
    {
      std::lock_guard lock(mutex);
      --inside;
      if (const auto mine = inside_of.find(tenant); --mine->second == 0) inside_of.erase(mine);
      next = admit_next();
    }
    if (next) next->called.set();
  }

  // Takes a cancelled waiter out of its line. False when it was admitted meanwhile.
  bool give_up(const base::TenantId& tenant, const std::shared_ptr<Waiter>& waiter) {
    std::lock_guard lock(mutex);
    if (waiter->admitted) return false;
    auto line = lines.find(tenant);
    if (line == lines.end()) return false;
    auto place = std::find(line->second.begin(), line->second.end(), waiter);
    if (place == line->second.end()) return false;
    line->second.erase(place);
    --waiting;
    if (line->second.empty()) {
      lines.erase(line);
      turns.remove(tenant);
    }
    waiter->gone = true;
    return true;
  }
};

struct FairQueue::Place::State {
  std::shared_ptr<FairQueue::Impl> queue;
  base::TenantId tenant;
  State(std::shared_ptr<FairQueue::Impl> q, base::TenantId t) : queue(std::move(q)), tenant(std::move(t)) {}
  ~State() { queue->leave(tenant); }
};

FairQueue::Place::~Place() = default;

FairQueue::FairQueue(std::size_t capacity, std::size_t line_max, std::size_t tenant_max)
    : impl_(std::make_shared<Impl>(std::max<std::size_t>(capacity, 1), line_max,
                                   std::max<std::size_t>(tenant_max, 1))) {}
FairQueue::~FairQueue() = default;

Task<Result<FairQueue::Place>> FairQueue::enter(base::TenantId tenant, base::CancelToken cancel) {
  std::shared_ptr<Impl> impl = impl_;
  auto waiter = std::make_shared<Waiter>();
  bool waits = true;
  {
    std::lock_guard lock(impl->mutex);
    if (impl->has_room(tenant)) {
      impl->count_in(tenant);
      waits = false;
    } else {
      auto& line = impl->lines[tenant];
      if (line.size() >= impl->line_max) {
        co_return Error(EngineError::QueueFull,
                        "Too many requests of this tenant are waiting for the model. Try again in a "
                        "moment.");
      }
      if (line.empty()) impl->turns.push_back(tenant);
      line.push_back(waiter);
      ++impl->waiting;
    }
  }
  if (waits) {
    auto watching = cancel.on_cancel([impl, waiter, tenant] {
      if (impl->give_up(tenant, waiter)) waiter->called.set();
    });
    co_await waiter->called;
    if (waiter->gone) {
      co_return Error(EngineError::Cancelled, "The request was cancelled while it waited.",
                      std::string(base::cancel_reason_name(cancel.reason())));
    }
  }
  co_return Place(std::make_shared<Place::State>(impl, std::move(tenant)));
}

std::size_t FairQueue::inside() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->inside;
}

std::size_t FairQueue::waiting() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->waiting;
}

}  // namespace bulkhead::engine
