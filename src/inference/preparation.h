// Preparation: what is done with a request before its turn at a model, on threads of its own: reading the
// body, laying out the template, tokenising, making grammars. The reactor serves everybody's bytes meanwhile.
//
// In turns between tenants by the bytes of their requests (base/fair_lines.h). A tenant never has all
// threads, so that a long text of one leaves another's short one a thread. A request whose client has left is
// dropped. Bounds: threads, waiting requests of one tenant; each request's size by what fits the model.
// Thread safety: `run` from every thread; the work runs on one of the threads, the caller resumes on its
// executor.
#pragma once

#include <condition_variable>
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
#include "base/worker_pulse.h"
#include "inference/error.h"
#include "inference/request.h"

namespace bulkhead::inference {

class Preparation {
 public:
  struct Options {
    std::size_t threads = 2;
    std::size_t line_max = 64;            // waiting requests of one tenant
    std::vector<base::LoopPulse> pulses;  // of the threads; none: nobody watches
  };
  explicit Preparation(const Options& options);
  ~Preparation();  // stop()
  // Ends what runs; what waits, and what comes later, is ShuttingDown.
  void stop();

  // What `work` returns, which is a Result. QueueFull, Cancelled or ShuttingDown when it was not run.
  // `bytes` are the request's: what it counts in the turns.
  template <typename Work>
  base::Task<std::invoke_result_t<Work>> run(RequestContext who, std::size_t bytes, base::CancelToken cancel,
                                             Work work) {
    using R = std::invoke_result_t<Work>;
    auto result = std::make_shared<std::optional<R>>();
    auto job = std::make_shared<Job>();
    job->bytes = bytes;
    job->cancel = std::move(cancel);
    job->request_id = who.request_id;
    job->work = [result, work = std::make_shared<Work>(std::move(work))] { result->emplace((*work)()); };
    if (auto queued = submit(who, job); !queued) co_return queued.take_error();
    co_await job->done;
    if (job->dropped) co_return std::move(*job->dropped);
    co_return std::move(**result);
  }

 private:
  struct Job {
    std::size_t bytes = 0;
    std::string request_id;
    base::CancelToken cancel;
    std::function<void()> work;
    std::optional<base::Error> dropped;
    base::Event done;
  };
  using JobPtr = std::shared_ptr<Job>;
  base::Result<void> submit(const RequestContext& who, JobPtr job);
  void run_jobs(base::LoopPulse pulse);
  std::optional<std::string> next_tenant() const;

  const Options options_;
  mutable std::mutex mutex_;
  std::condition_variable work_;
  base::FairLines<JobPtr> lines_;
  std::map<std::string, std::size_t> running_;  // by tenant
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace bulkhead::inference
