#include "inference/scheduler.h"

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "crypto/random.h"
#include "ggml-cpu.h"

namespace bulkhead::inference {

using base::Error;
using base::Result;

namespace {

constexpr int kTopK = 40;
constexpr int kPollLevel = 20;  // of 100: spin a little, the cores are shared with the gateway

llama_token most_likely(const float* logits, int count) {
  return static_cast<llama_token>(std::max_element(logits, logits + count) - logits);
}

llama_sampler* make_sampler(const GenerationRequest& request) {
  if (request.temperature <= 0) return nullptr;
  llama_sampler* chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
  llama_sampler_chain_add(chain, llama_sampler_init_top_k(kTopK));
  llama_sampler_chain_add(chain, llama_sampler_init_top_p(static_cast<float>(request.top_p), 1));
  llama_sampler_chain_add(chain, llama_sampler_init_temp(static_cast<float>(request.temperature)));
  std::uint32_t seed = 0;
  if (request.seed) {
    seed = static_cast<std::uint32_t>(*request.seed ^ (*request.seed >> 32));
  } else {
    crypto::random_fill(reinterpret_cast<std::uint8_t*>(&seed), sizeof seed);
  }
  llama_sampler_chain_add(chain, llama_sampler_init_dist(seed));
  return chain;
}

ggml_threadpool* make_threads(int count) {
  ggml_threadpool_params params = ggml_threadpool_params_default(count);
  params.poll = kPollLevel;
  return ggml_threadpool_new(&params);
}

}  // namespace

Scheduler::Scheduler(const Model& model, SchedulerOptions options)
    : model_(model), options_(options), slots_(options.slots) {}

Result<std::unique_ptr<Scheduler>> Scheduler::start(const Model& model, SchedulerOptions options) {
  std::unique_ptr<Scheduler> scheduler(new Scheduler(model, options));
  BULKHEAD_CHECK_OK(scheduler->open_context());
  Scheduler* raw = scheduler.get();
  scheduler->thread_ = std::thread([raw] { raw->run(); });
  return scheduler;
}

Result<void> Scheduler::open_context() {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<std::uint32_t>(options_.context * options_.slots);
  params.n_batch = static_cast<std::uint32_t>(options_.batch_tokens + options_.slots);
  params.n_ubatch = params.n_batch;
  params.n_seq_max = static_cast<std::uint32_t>(options_.slots);
  params.n_outputs_max = static_cast<std::uint32_t>(options_.slots);
  params.n_threads = options_.threads;
  params.n_threads_batch = options_.batch_threads;
  params.kv_unified = false;  // a stream of its own for each sequence: what burn.h zeroes
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;  // V lies in rows, as K does
  params.no_perf = true;
  params.cb_eval = &CacheTensors::on_eval;
  params.cb_eval_user_data = &cache_tensors_;
  context_ = llama_init_from_model(model_.handle(), params);
  if (!context_) {
    return Error(InferenceError::Failed, "The chat model's context could not be made: not enough memory for " +
                                             std::to_string(options_.slots) + " sequences of " +
                                             std::to_string(options_.context) + " tokens?");
  }
  threads_ = make_threads(options_.threads);
  batch_threads_ = options_.batch_threads == options_.threads ? nullptr : make_threads(options_.batch_threads);
  llama_attach_threadpool(context_, threads_, batch_threads_ ? batch_threads_ : threads_);
  batch_ = llama_batch_init(static_cast<int>(params.n_batch), 0, 1);

  // One token through every layer: shows the cache tensors to burn them by, and warms up.
  add_token(0, 0, 0, true);
  bool decoded = llama_decode(context_, batch_) == 0;
  batch_.n_tokens = 0;
  Burner burner(context_, cache_tensors_, true);
  BurnResult first = burner.erase_sequence(0, 1);
  burner.scrub_shared();
  if (!decoded || !first.verified) {
    return Error(InferenceError::Unsupported,
                 "This model's memory could not be erased in a trial, so it is not served.");
  }
  return Result<void>();
}

Scheduler::~Scheduler() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (context_) llama_free(context_);
  if (threads_) ggml_threadpool_free(threads_);
  if (batch_threads_) ggml_threadpool_free(batch_threads_);
  if (batch_.token) llama_batch_free(batch_);
}

Result<void> Scheduler::submit(std::shared_ptr<Generation> generation) {
  std::size_t prompt = generation->request.prompt.size();
  if (prompt + 1 > options_.context) {
    return Error(InferenceError::ContextExceeded,
                 "The prompt has " + std::to_string(prompt) + " tokens; the context holds " +
                     std::to_string(options_.context) + ".");
  }
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return Error(InferenceError::ShuttingDown, "The engine is shutting down.");
    auto& line = lines_[generation->request.tenant];
    if (line.size() >= options_.line_max) {
      return Error(InferenceError::QueueFull, "Too many requests are waiting.");
    }
    if (line.empty()) turns_.push_back(generation->request.tenant);
    line.push_back(std::move(generation));
    stats_.waiting.fetch_add(1);
  }
  work_.notify_one();
  return Result<void>();
}

void Scheduler::wake() { work_.notify_one(); }

void Scheduler::run() {
  while (wait_for_work()) {
    admit();
    build_batch();
    if (batch_.n_tokens > 0) decode();
    finish_ended();
  }
  // What still runs is told so and burned.
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    if (!slots_[slot]) continue;
    slots_[slot]->failure.emplace(InferenceError::ShuttingDown, "The engine is shutting down.");
  }
  finish_ended();
  while (auto waiting = next_waiting()) {
    waiting->channel->push({"", std::nullopt, Error(InferenceError::ShuttingDown, "The engine is shutting down.")});
  }
}

bool Scheduler::wait_for_work() {
  std::unique_lock lock(mutex_);
  bool busy = std::any_of(slots_.begin(), slots_.end(), [](const auto& slot) { return slot != nullptr; });
  if (!busy) work_.wait(lock, [this] { return stopping_ || !turns_.empty(); });
  return !stopping_;
}

std::shared_ptr<Generation> Scheduler::next_waiting() {
  std::lock_guard lock(mutex_);
  if (turns_.empty()) return nullptr;
  std::string tenant = std::move(turns_.front());
  turns_.pop_front();
  auto line = lines_.find(tenant);
  std::shared_ptr<Generation> next = std::move(line->second.front());
  line->second.pop_front();
  if (line->second.empty()) {
    lines_.erase(line);
  } else {
    turns_.push_back(std::move(tenant));
  }
  stats_.waiting.fetch_sub(1);
  return next;
}

void Scheduler::admit() {
  for (auto& slot : slots_) {
    if (slot) continue;
    std::shared_ptr<Generation> next = next_waiting();
    if (!next) break;
    const GenerationRequest& request = next->request;
    auto room = static_cast<std::int64_t>(options_.context - request.prompt.size());
    slot.reset(new Sequence{.generation = next, .text = TextStream(request.stop)});
    slot->sampler.reset(make_sampler(request));
    slot->generated_max = request.max_tokens > 0 ? std::min(request.max_tokens, room) : room;
    stats_.active.fetch_add(1);
  }
}

void Scheduler::add_token(llama_token token, std::size_t position, std::size_t sequence, bool logits) {
  int at = batch_.n_tokens++;
  batch_.token[at] = token;
  batch_.pos[at] = static_cast<llama_pos>(position);
  batch_.n_seq_id[at] = 1;
  batch_.seq_id[at][0] = static_cast<llama_seq_id>(sequence);
  batch_.logits[at] = logits ? 1 : 0;
}

void Scheduler::build_batch() {
  batch_.n_tokens = 0;
  std::size_t reading = 0, generating = 0;
  for (auto& slot : slots_) {
    if (!slot) continue;
    slot->logits_at = -1;
    if (slot->generation->cancel.cancelled() && !slot->done()) {
      slot->failure.emplace(InferenceError::Cancelled, "The request was cancelled.");
    }
    if (slot->done()) continue;
    (slot->reading() ? reading : generating) += 1;
  }
  std::size_t budget = generating > 0 ? options_.prefill_chunk : options_.batch_tokens;
  std::size_t share = reading > 0 ? std::max<std::size_t>(1, budget / reading) : 0;
  // Ascending sequence ids: llama.cpp splits unordered batches into slower pieces.
  for (std::size_t id = 0; id < slots_.size(); ++id) {
    Sequence* sequence = slots_[id].get();
    if (!sequence || sequence->done()) continue;
    if (!sequence->reading()) {
      sequence->logits_at = batch_.n_tokens;
      add_token(sequence->next, sequence->cells() - 1, id, true);
      continue;
    }
    const Tokens& prompt = sequence->generation->request.prompt;
    std::size_t until = std::min(prompt.size(), sequence->read + share);
    for (std::size_t i = sequence->read; i < until; ++i) {
      bool last = i + 1 == prompt.size();
      if (last) sequence->logits_at = batch_.n_tokens;
      add_token(prompt[i], i, id, last);
    }
    stats_.prompt_tokens.fetch_add(until - sequence->read);
    sequence->read = until;
  }
}

void Scheduler::decode() {
  stats_.steps.fetch_add(1);
  int status = llama_decode(context_, batch_);
  for (auto& slot : slots_) {
    if (!slot || slot->done()) continue;
    if (status != 0) {
      slot->failure.emplace(InferenceError::Failed, "The engine failed on this batch.",
                            "llama_decode gave " + std::to_string(status));
    } else if (slot->logits_at >= 0) {
      sample(*slot);
    }
  }
  if (status != 0) base::log::error("decode_failed", {{"status", std::int64_t{status}}});
  // The batch's ids are of no more use.
  std::fill(batch_.token, batch_.token + batch_.n_tokens, 0);
}

void Scheduler::sample(Sequence& sequence) {
  llama_token token;
  if (sequence.sampler) {
    token = llama_sampler_sample(sequence.sampler.get(), context_, sequence.logits_at);
  } else {
    token = most_likely(llama_get_logits_ith(context_, sequence.logits_at),
                        llama_vocab_n_tokens(model_.vocab()));
  }
  accept(sequence, token);
}

void Scheduler::accept(Sequence& sequence, llama_token token) {
  if (model_.ends_generation(token)) {
    sequence.finish_reason = "stop";
    return;
  }
  sequence.next = token;
  ++sequence.generated;
  stats_.generated_tokens.fetch_add(1);
  std::string text = sequence.text.add(model_.piece(token));
  if (!text.empty()) sequence.generation->channel->push({std::move(text), std::nullopt, std::nullopt});
  if (sequence.text.stopped()) {
    sequence.finish_reason = "stop";
  } else if (sequence.generated >= sequence.generated_max) {
    sequence.finish_reason = "length";
  }
}

void Scheduler::finish_ended() {
  std::vector<std::size_t> ended;
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    if (slots_[slot] && slots_[slot]->done()) ended.push_back(slot);
  }
  if (ended.empty()) return;
  // All logits of this step have been sampled from: the shared buffers may go.
  Burner(context_, cache_tensors_, options_.burn).scrub_shared();
  for (std::size_t slot : ended) end(slot);
}

void Scheduler::end(std::size_t slot) {
  std::unique_ptr<Sequence> sequence = std::move(slots_[slot]);
  Burner burner(context_, cache_tensors_, options_.burn);
  BurnResult burned = burner.erase_sequence(static_cast<llama_seq_id>(slot), sequence->cells());
  stats_.burns.fetch_add(1);
  stats_.burn_micros.fetch_add(burned.micros);
  stats_.active.fetch_sub(1);
  std::shared_ptr<GenerationChannel> channel = sequence->generation->channel;
  GenerationChannel::Item last;
  if (sequence->failure) {
    last.error = std::move(sequence->failure);
  } else {
    last.text = sequence->text.stopped() ? "" : sequence->text.finish();
    last.result = GenerationResult{sequence->finish_reason,
                                   static_cast<std::int64_t>(sequence->generation->request.prompt.size()),
                                   sequence->generated, burned};
  }
  if (options_.burn) base::wipe(sequence->generation->request.prompt.data(),
                                sequence->generation->request.prompt.size() * sizeof(llama_token));
  sequence.reset();
  channel->push(std::move(last));
}

}  // namespace bulkhead::inference
