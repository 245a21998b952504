// The scheduler: one thread that owns the chat context and decodes all tenants' sequences in common
// batches (continuous batching), each in its own KV stream.
//
// Waiting requests stand in one line per tenant, served in turn (invariant I8). Prompts are taken in
// chunks, shared between the sequences that are reading theirs, so that a long prompt never stalls
// another's stream for more than one chunk. Lowest free stream first, so active streams stay packed.
// After a sequence ends, for whatever reason, it is burned before its last message leaves.
// Thread safety: `submit` and the counters from every thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "inference/burn.h"
#include "inference/generation.h"
#include "inference/model.h"
#include "inference/text_stream.h"

namespace bulkhead::inference {

struct SchedulerOptions {
  std::size_t slots = 4;
  std::size_t context = 4096;        // tokens of one sequence
  int threads = 1, batch_threads = 2;
  std::size_t prefill_chunk = 256;   // prompt tokens a step while others generate
  std::size_t batch_tokens = 512;    // prompt tokens a step otherwise
  std::size_t line_max = 64;         // waiting requests of one tenant
  bool burn = true;
};

class Scheduler {
 public:
  static base::Result<std::unique_ptr<Scheduler>> start(const Model& model, SchedulerOptions options);
  ~Scheduler();  // cancels and burns what runs

  base::Result<void> submit(std::shared_ptr<Generation> generation);
  void wake();

  struct Stats {
    std::atomic<std::uint64_t> prompt_tokens{0}, generated_tokens{0}, burns{0}, burn_micros{0},
        steps{0}, active{0}, waiting{0};
  };
  const Stats& stats() const { return stats_; }
  const SchedulerOptions& options() const { return options_; }

 private:
  struct Sequence {
    std::shared_ptr<Generation> generation;
    TextStream text;
    struct SamplerFree {
      void operator()(llama_sampler* chain) const { llama_sampler_free(chain); }
    };
    std::unique_ptr<llama_sampler, SamplerFree> sampler;  // none: greedy
    std::size_t read = 0;             // prompt tokens decoded
    llama_token next = -1;            // sampled, not decoded yet
    std::int64_t generated = 0;
    std::int64_t generated_max = 0;
    std::int32_t logits_at = -1;      // index in the current batch
    std::string finish_reason;
    std::optional<base::Error> failure;
    bool reading() const { return read < generation->request.prompt.size(); }
    bool done() const { return !finish_reason.empty() || failure.has_value(); }
    std::uint64_t cells() const { return read + static_cast<std::uint64_t>(generated); }
  };

  Scheduler(const Model& model, SchedulerOptions options);
  base::Result<void> open_context();
  void run();
  bool wait_for_work();
  void admit();
  std::shared_ptr<Generation> next_waiting();
  void build_batch();
  void add_token(llama_token token, std::size_t position, std::size_t sequence, bool logits);
  void decode();
  void sample(Sequence& sequence);
  void accept(Sequence& sequence, llama_token token);
  void finish_ended();
  void end(std::size_t slot);

  const Model& model_;
  const SchedulerOptions options_;
  CacheTensors cache_tensors_;
  llama_context* context_ = nullptr;
  struct ggml_threadpool* threads_ = nullptr;
  struct ggml_threadpool* batch_threads_ = nullptr;
  llama_batch batch_{};
  std::vector<std::unique_ptr<Sequence>> slots_;

  std::mutex mutex_;
  std::condition_variable work_;
  std::map<std::string, std::deque<std::shared_ptr<Generation>>> lines_;
  std::list<std::string> turns_;
  bool stopping_ = false;
  Stats stats_;
  std::thread thread_;
};

}  // namespace bulkhead::inference
