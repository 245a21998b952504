// The parts of ExternalEngine that its own files share; not for others.
#pragma once

#include <atomic>

#include "base/task.h"
#include "engine/external_engine.h"
#include "engine/llama_server.h"
#include "engine/salt_book.h"
#include "http/reactor.h"

namespace bulkhead::engine {

struct ExternalEngine::Core {
  Core(ExternalOptions o, http::ReactorPool& r, const base::Clock& c)
      : options(std::move(o)),
        kind(options.replica.kind),
        dialect(dialect_of(kind)),
        reactors(r),
        salts(std::move(options.salt_key), c) {}

  ExternalOptions options;
  const EngineKind kind;
  const Dialect& dialect;
  http::ReactorPool& reactors;
  SaltBook salts;
  std::vector<std::string> names;
  std::vector<std::shared_ptr<Replica>> replicas;
  std::atomic<std::uint64_t> failovers{0};
  base::Gate gate;
  base::CancelToken stopping;

  bool usable(const Replica& replica) const {
    return replica.breaker.would_allow() && (!dialect.slots || replica.inspected);
  }
  LlamaNeeds needs() const { return {options.replica.slots, options.context}; }
  void tell(const Replica& replica, bool up, std::string reason) const;
  void note_failure(Replica& replica);
  void note_success(Replica& replica);
};

// One request at one replica, with the slot it was lent. Whoever drops a Turn unfinished gives its slot back
// dirty, and a background task erases it.
class Turn {
 public:
  using Core = ExternalEngine::Core;
  Turn(std::shared_ptr<Core> core, std::shared_ptr<Replica> replica)
      : core_(std::move(core)), replica_(std::move(replica)) {}
  Turn(Turn&& other) noexcept = default;
  Turn& operator=(Turn&&) = delete;
  ~Turn();

  // Waits for a slot (of a dialect with slots) that holds nobody else's rows.
  base::Task<base::Result<void>> prepare(CallContext context);
  Stance stance(const CallContext& context, const ChatRequest& request) const;
  Replica& replica() const { return *replica_; }
  // After a whole answer: keeps or erases the slot, and says what became of the request's rows.
  base::Task<base::BurnReport> finish(std::int64_t prompt_tokens);

 private:
  std::shared_ptr<Core> core_;
  std::shared_ptr<Replica> replica_;
  std::optional<FairQueue::Place> place_;
  std::optional<std::size_t> slot_;
  bool reuse_ = false;
  SlotTable::Owner owner_;
  std::chrono::seconds keep_{0};  // what the policy allows; 0: nothing is left for later requests
};

// What an engine of this kind says of rows that nobody may match any more, where it has no slots to ask
// about.
base::RowsFate fate_of(EngineKind kind);
// A report of rows that are left for the same session (`kept` above 0 says how long without use), or for
// nobody where the engine isolates prefixes.
base::BurnReport burn_report(EngineKind kind, base::RowsFate rows, std::chrono::seconds kept);

// Looks after one replica until the engine stops: health, inspection, slots that are overdue.
base::Task<void> watch_replica(std::shared_ptr<ExternalEngine::Core> core, std::size_t index);
// The first look; an error refuses the start.
base::Task<base::Result<void>> look_first(std::shared_ptr<ExternalEngine::Core> core);
// A place for work of ours at a slot, so that whoever else is inside still finds one.
base::Task<base::Result<FairQueue::Place>> place_for_erasing(const ExternalEngine::Core& core,
                                                             Replica& replica);
// Erases idle slots whose rows must go.
base::Task<void> sweep_slots(std::shared_ptr<ExternalEngine::Core> core, std::shared_ptr<Replica> replica);

}  // namespace bulkhead::engine
