#include "inference/preparation.h"

#include <algorithm>

namespace bulkhead::inference {

using base::Error;
using base::Result;

namespace {

constexpr double kRequestCost = 1'024;  // bytes' worth of what every request costs

Error shutting_down() { return Error(InferenceError::ShuttingDown, "The engine is shutting down."); }

}  // namespace

Preparation::Preparation(const Options& options) : options_(options) {
  for (std::size_t i = 0; i < options_.threads; ++i) {
    const base::LoopPulse pulse = i < options_.pulses.size() ? options_.pulses[i] : base::LoopPulse();
    threads_.emplace_back([this, pulse] { run_jobs(pulse); });
  }
}

Preparation::~Preparation() { stop(); }

void Preparation::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
  std::vector<JobPtr> waiting;
  {
    std::lock_guard lock(mutex_);
    while (auto next = lines_.take()) waiting.push_back(std::move(next->second));
  }
  for (const JobPtr& job : waiting) {
    job->dropped.emplace(shutting_down());
    job->done.set();
  }
}

Result<void> Preparation::submit(const RequestContext& who, JobPtr job) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return shutting_down();
    if (lines_.size(who.tenant) >= options_.line_max) {
      return Error(InferenceError::QueueFull, "Too many requests are waiting.");
    }
    lines_.push(who.tenant, who.weight, who.priority, std::move(job));
  }
  work_.notify_one();
  return Result<void>();
}

// The lock is held.
std::optional<std::string> Preparation::next_tenant() const {
  const std::size_t most = std::max<std::size_t>(options_.threads - 1, 1);
  return lines_.next([&](const std::string& tenant) {
    auto running = running_.find(tenant);
    return running == running_.end() || running->second < most;
  });
}

void Preparation::run_jobs(base::LoopPulse pulse) {
  std::unique_lock lock(mutex_);
  while (true) {
    std::optional<std::string> tenant;
    work_.wait(lock, [&] {
      if (stopping_) return true;
      tenant = next_tenant();
      return tenant.has_value();
    });
    if (stopping_) return;
    JobPtr job = lines_.take(*tenant);
    lines_.charge(*tenant, static_cast<double>(job->bytes) + kRequestCost);
    ++running_[*tenant];
    lock.unlock();
    pulse.at_request(job->request_id);
    pulse.busy(true);
    if (job->cancel.cancelled()) {
      job->dropped.emplace(InferenceError::Cancelled, "The request was cancelled.");
    } else {
      job->work();
    }
    job->work = nullptr;
    pulse.busy(false);
    pulse.at_request("");
    job->done.set();
    lock.lock();
    if (--running_[*tenant] == 0) running_.erase(*tenant);
    work_.notify_one();  // this tenant's next one may have waited for that
  }
}

}  // namespace bulkhead::inference
