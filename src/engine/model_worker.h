// ModelWorker: one worker process that serves one version of one model, with what the pool needs to
// know of it: is it ready, how many requests are inside, when was it last used.
//
// Versions and tenants that must not share run-time state get ModelWorkers of their own: own
// process, own socket, own signing key (OWASP AISVS 3.3.3, 4.1.1).
// Ownership: shared; a request keeps a Lease while it is inside. `stop` ends the process whether
// leases are out or not; they then fail, and `on_event` is not called again.
// Thread safety: all members from every thread; `stop` blocks.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "base/task.h"
#include "engine/http_engine.h"
#include "engine/model_registry.h"
#include "engine/worker_process.h"

namespace bulkhead::engine {

// News of a worker, for audit records.
struct WorkerEvent {
  enum class Kind { Started, Died, Loaded };
  Kind kind = Kind::Started;
  std::string model;
  std::string sha256;
  std::string tenant;  // "" for a shared worker
  std::string detail;  // "exit 1", "signal 9"
};
using WorkerListener = std::function<void(const WorkerEvent&)>;

class ModelWorker final : public std::enable_shared_from_this<ModelWorker> {
 public:
  struct Options {
    ModelVersion version;
    std::string tenant;            // the one tenant it serves; "" for all
    std::string embedding_sha256;  // of the embedding model that it carries beside; "" for none
    WorkerOptions process;         // executable, socket, arguments
    http::ClientOptions client;
    WorkerListener on_event;
    // The tenant whose request ended the process, when it is known: the one request that it was at, or one of
    // the only tenant that had any inside.
    std::function<void(const std::string& tenant)> on_blame;
  };
  static base::Result<std::shared_ptr<ModelWorker>> start(Options options, const base::Clock& clock);
  ~ModelWorker();

  // Counts a request as inside, and its end as a use.
  class Lease {
   public:
    explicit Lease(std::shared_ptr<ModelWorker> worker);
    // Says whose request it is, for whom to blame should the process end.
    void belongs_to(std::string request_id, std::string tenant);
    Lease(Lease&& other) noexcept = default;
    Lease& operator=(Lease&& other) noexcept = delete;
    ~Lease();
    ModelWorker& operator*() const { return *worker_; }
    ModelWorker* operator->() const { return worker_.get(); }

   private:
    std::shared_ptr<ModelWorker> worker_;
    std::string request_id_;
    std::string tenant_;
  };

  const ModelVersion& version() const { return options_.version; }
  const std::string& tenant() const { return options_.tenant; }
  const std::string& embedding_sha256() const { return options_.embedding_sha256; }
  Engine& engine() { return *engine_; }
  std::vector<ModelInfo> models() const { return engine_->models(); }
  bool ready() const;
  int pid() const { return process_->pid(); }
  std::uint64_t restarts() const { return process_->restarts(); }
  std::size_t inside() const { return inside_.load(); }
  bool probing() const { return probing_.load(); }
  base::MonotonicTime last_used() const;

  // Until it answers; Unavailable when its process ends first, at the deadline, or when stopped,
  // Cancelled when `cancel` fires. Whoever starts workers calls `tick` now and then.
  base::Task<base::Result<void>> wait_ready(base::CancelToken cancel, base::MonotonicTime deadline);
  // Asks a running worker that isn't ready yet for its models, on `executor`; the answer, with the
  // pinned hash in it, is what makes it ready. At most one question is under way.
  void probe(base::Executor& executor);
  // Wakes those whose wait is over, and ends a process that makes no progress. `elapsed`: since the last
  // tick.
  void tick(std::chrono::milliseconds elapsed);
  void stop();

 private:
  struct Waiter;
  ModelWorker(Options options, const base::Clock& clock) : options_(std::move(options)), clock_(clock) {}
  void note_started();
  void note_died(const WorkerDeath& death);
  void blame(const WorkerDeath& death);
  void wake_waiters();
  void note_answer(bool answered, int asked_pid);
  bool reports_pinned_hash() const;
  static base::Task<void> ask(std::shared_ptr<ModelWorker> self, int pid);
  void wake(const std::function<bool(Waiter&)>& over);
  void tell(WorkerEvent::Kind kind, std::string detail = {});

  const Options options_;
  const base::Clock& clock_;
  std::unique_ptr<WorkerProcess> process_;
  std::unique_ptr<HttpEngine> engine_;
  std::atomic<std::size_t> inside_{0};
  std::atomic<std::int64_t> last_used_{0};
  std::atomic<bool> probing_{false};
  std::mutex stop_mutex_;
  std::mutex listener_mutex_;
  bool deaf_ = false;  // nothing is told after `stop` has returned
  std::mutex mutex_;
  bool stopped_ = false;
  std::vector<std::shared_ptr<Waiter>> waiters_;
  std::mutex requests_mutex_;
  std::multimap<std::string, std::string> requests_;  // inside: request, tenant
  struct EndedRequest {
    std::string request, tenant;
    base::MonotonicTime when;
  };
  static constexpr std::size_t kEndedRemembered = 64;
  static constexpr std::chrono::seconds kEndedWithTheWorker{1};
  std::deque<EndedRequest> ended_;  // the last ones, oldest first
};

}  // namespace bulkhead::engine
