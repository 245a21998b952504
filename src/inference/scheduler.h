// The scheduler: one thread that owns the chat context and decodes all tenants' sequences in common
// batches (continuous batching), each in its own KV stream.
//
// Who gets the next free slot is decided by virtual token counters (base/fair_lines.h): a prompt token
// costs 1, an answer token 2, divided by the tenant's weight. When no slot is free and a tenant below its
// share waits, a sequence of a tenant above its share is set aside, rows and all, and goes on later; so a
// flood delays others by a step, not by its answers (invariant I8).
// Prompts are read in chunks whose size follows the measured speed, so that a long prompt holds up no
// stream for long; each tenant that reads gets an equal part of the chunk, and who is in a slot beyond its
// share only a little of it (inference/reading_shares.h). Lowest free slot first, so that
// active streams stay packed. A sequence of an `exclusive` tenant is decoded alone, in chunks of fixed
// size: its numbers depend on nobody else.
// After a sequence ends, for whatever reason, it is burned before the request's last message leaves. A slot
// whose rows could not be cleared is withdrawn: nothing is decoded in it again. When none is left, or memory
// that all share could not be cleared, nothing more is served and `unclean` is told.
// Thread safety: `submit`, `wake`, `burn_kept` and the counters from every thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/fair_lines.h"
#include "base/result.h"
#include "base/worker_pulse.h"
#include "inference/burn.h"
#include "inference/generation.h"
#include "inference/model.h"
#include "inference/prefix_cache.h"
#include "inference/sequence.h"
#include "inference/step_cost.h"

namespace bulkhead::inference {

struct SchedulerOptions {
  std::size_t slots = 4;
  std::size_t context = 4096;  // tokens of one sequence
  int threads = 1, batch_threads = 2;
  std::size_t batch_tokens = 512;  // prompt tokens a step at most
  std::size_t line_max = 64;       // waiting requests of one tenant
  PrefixCache::Options prefix;
  bool burn = true;
  Eraser eraser = Eraser::real();
  std::function<void()> unclean = [] {};  // on the scheduler's thread, once
  bool lookahead = true;
  std::optional<StepCost> step_cost;  // measured when it isn't given
  base::LoopPulse pulse;
};

class Scheduler {
 public:
  static base::Result<std::unique_ptr<Scheduler>> start(const Model& model, SchedulerOptions options);
  ~Scheduler();  // stop()
  // Cancels and burns what runs, then what is kept; what is submitted later is ShuttingDown. From then on
  // only `submit`, `burn_kept`, the counters and the options may be used.
  void stop();

  // BadGrammar, ContextExceeded, QueueFull or ShuttingDown at once; all else comes by the channel.
  base::Result<void> submit(std::shared_ptr<Generation> generation);
  void wake();
  // Burns every kept prefix of the tenant; with a session, of that session alone.
  base::Task<base::BurnReport> burn_kept(std::string tenant, std::optional<std::string> session);

  struct Stats {
    std::atomic<std::uint64_t> prompt_tokens{0}, cached_tokens{0}, generated_tokens{0}, burns{0},
        burn_micros{0}, steps{0}, busy_micros{0}, active{0}, waiting{0}, waiting_tenants{0}, set_aside{0},
        admitted{0}, wait_micros{0}, kept_prefixes{0}, kept_bytes{0}, guessed_tokens{0}, guessed_right{0},
        withdrawn{0};
  };
  const Stats& stats() const { return stats_; }
  const SchedulerOptions& options() const { return options_; }

 private:
  static constexpr std::size_t kGuessesAStepMax = 16;
  std::size_t batch_capacity() const { return options_.batch_tokens + options_.slots + kGuessesAStepMax; }
  using Time = std::chrono::steady_clock::time_point;
  using SequencePtr = std::unique_ptr<Sequence>;
  struct BurnCommand {
    std::string tenant;
    std::optional<std::string> session;
    base::BurnReport burned;
    base::Event done;
  };

  Scheduler(const Model& model, SchedulerOptions options);
  base::Result<void> open_context();
  void measure_steps();
  void run();
  bool wait_for_work();
  void run_commands();
  void shut_down();
  void end_all(base::Error (*reason)());

  // scheduler_admit.cc
  void drop_cancelled();
  void admit();
  std::optional<std::size_t> free_slot() const;
  // Who holds slots, and how many each tenant that holds or waits for one should have.
  struct SlotShares {
    std::map<std::string, double> holds, weights;
    double slots = 0, total = 0;
    double of(const std::string& tenant) const;
  };
  SlotShares slot_shares() const;
  std::set<std::size_t> borrowed_slots() const;
  std::optional<std::size_t> victim_for(const std::string& tenant) const;
  void set_aside(std::size_t slot);
  void put_back(SequencePtr sequence);
  void place(SequencePtr sequence, std::size_t slot);
  void restore(Sequence& sequence, std::size_t slot, const std::vector<std::uint8_t>& rows, std::size_t keep);
  std::vector<std::uint8_t> rows_of(std::size_t slot) const;
  std::optional<PrefixKey> prefix_key(const Sequence& sequence) const;
  void reuse_prefix(Sequence& sequence, std::size_t slot);
  void begin_other_choices(Sequence& first, std::size_t slot);

  // scheduler_step.cc
  void step();
  std::vector<std::size_t> runnable(bool exclusive) const;
  std::size_t prompt_budget(const std::vector<std::size_t>& slots) const;
  std::vector<std::size_t> prompt_shares(const std::vector<std::size_t>& slots, std::size_t budget) const;
  void decode(const std::vector<std::size_t>& slots, std::size_t budget);
  void add_token(Token token, std::size_t position, std::size_t slot, bool logits);
  void add_next(Sequence& sequence, std::size_t slot, std::size_t guesses, std::size_t answers);
  std::size_t guesses_a_sequence(const std::vector<std::size_t>& slots) const;
  void sample(Sequence& sequence, std::int32_t at);
  double sample_all(Sequence& sequence, std::size_t slot);
  void learn_costs(std::size_t read, double seconds);
  void finish_ended();
  void end(std::size_t slot, base::BurnReport shared);
  void finish_generation(Sequence& sequence, const base::BurnReport& burned);
  base::BurnReport scrub_shared();
  base::BurnReport erase_slot(std::size_t slot, std::uint64_t cells);
  void stop_serving(const char* why);

  const Model& model_;
  const SchedulerOptions options_;
  base::LoopPulse pulse_;  // says that the loop goes on, and at whose request it is
  CacheTensors cache_tensors_;
  llama_context* context_ = nullptr;
  struct ggml_threadpool* threads_ = nullptr;
  struct ggml_threadpool* batch_threads_ = nullptr;
  llama_batch batch_{};
  std::vector<SequencePtr> slots_;
  std::set<std::size_t> withdrawn_;  // their rows could not be cleared
  PrefixCache prefixes_;
  StepCost step_cost_;
  ReadingSpeed reading_speed_;
  std::uint64_t placed_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable work_;
  base::FairLines<SequencePtr> lines_;
  std::deque<std::shared_ptr<BurnCommand>> commands_;
  bool woken_ = false;
  bool stopping_ = false;
  std::atomic<bool> unclean_{false};  // memory could not be cleared: nothing more is taken
  Stats stats_;
  std::thread thread_;
};

}  // namespace bulkhead::inference
