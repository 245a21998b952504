#include "inference/scheduler.h"

#include <algorithm>
#include <utility>

#include "ggml-cpu.h"

namespace bulkhead::inference {

using base::Error;
using base::Result;
using base::Task;

namespace {

constexpr int kPollLevel = 20;  // of 100: spin a little, the cores are shared with the gateway

ggml_threadpool* make_threads(int count) {
  ggml_threadpool_params params = ggml_threadpool_params_default(count);
  params.poll = kPollLevel;
  return ggml_threadpool_new(&params);
}

Error shutting_down() { return Error(InferenceError::ShuttingDown, "The engine is shutting down."); }
Error unclean() {
  return Error(InferenceError::ShuttingDown,
               "The engine could not clear its memory and is started anew. Try again in a moment.");
}

}  // namespace

Scheduler::Scheduler(const Model& model, SchedulerOptions options)
    : model_(model),
      options_(options),
      pulse_(options.pulse),
      slots_(options.slots),
      prefixes_(options.prefix),
      step_cost_(options.step_cost.value_or(StepCost(1, 1))) {}

Result<std::unique_ptr<Scheduler>> Scheduler::start(const Model& model, SchedulerOptions options) {
  options.prefix.burn = options.burn;
  std::unique_ptr<Scheduler> scheduler(new Scheduler(model, options));
  BULKHEAD_CHECK_OK(scheduler->open_context());
  Scheduler* raw = scheduler.get();
  scheduler->thread_ = std::thread([raw] { raw->run(); });
  return scheduler;
}

Result<void> Scheduler::open_context() {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<std::uint32_t>(options_.context * options_.slots);
  params.n_batch = static_cast<std::uint32_t>(batch_capacity());
  params.n_ubatch = params.n_batch;
  params.n_seq_max = static_cast<std::uint32_t>(options_.slots);
  params.n_outputs_max = static_cast<std::uint32_t>(options_.slots + kGuessesAStepMax);
  params.n_threads = options_.threads;
  params.n_threads_batch = options_.batch_threads;
  params.kv_unified = false;  // a stream of its own for each sequence: what burn.h zeroes
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;  // V lies in rows, as K does
  params.no_perf = true;
  params.cb_eval = &CacheTensors::on_eval;
  params.cb_eval_user_data = &cache_tensors_;
  context_ = llama_init_from_model(model_.handle(), params);
  if (!context_) {
    return Error(InferenceError::Failed,
                 "The chat model's context could not be made: not enough memory for " +
                     std::to_string(options_.slots) + " sequences of " + std::to_string(options_.context) +
                     " tokens?");
  }
  threads_ = make_threads(options_.threads);
  batch_threads_ =
      options_.batch_threads == options_.threads ? nullptr : make_threads(options_.batch_threads);
  llama_attach_threadpool(context_, threads_, batch_threads_ ? batch_threads_ : threads_);
  batch_ = llama_batch_init(static_cast<int>(params.n_batch), 0, 1);

  // One token through every layer: shows the cache tensors to burn them by, and warms up.
  add_token(0, 0, 0, true);
  bool decoded = llama_decode(context_, batch_) == 0;
  batch_.n_tokens = 0;
  if (decoded && !options_.step_cost) measure_steps();
  Burner burner(context_, cache_tensors_, true, options_.eraser);
  base::BurnReport first = burner.erase_sequence(0, kGuessesAStepMax);
  first.add(burner.scrub_shared());
  if (!decoded || !first.verified()) {
    return Error(InferenceError::Unsupported,
                 "This model's memory could not be erased in a trial, so it is not served.");
  }
  return Result<void>();
}

// What a step of one token and each token more cost, the quickest of a few tries of each.
void Scheduler::measure_steps() {
  constexpr std::size_t kMore = 4;
  auto quickest = [this](std::size_t tokens) {
    double best = 1e9;
    for (int i = 0; i < 4; ++i) {
      llama_memory_seq_rm(llama_get_memory(context_), 0, -1, -1);
      batch_.n_tokens = 0;
      for (std::size_t at = 0; at < tokens; ++at) add_token(0, at, 0, true);
      auto began = std::chrono::steady_clock::now();
      if (llama_decode(context_, batch_) != 0) break;
      llama_synchronize(context_);
      best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
    }
    batch_.n_tokens = 0;
    return best;
  };
  double one = quickest(1), more = quickest(1 + kMore);
  step_cost_ = StepCost(one, std::max(0.0, more - one) / static_cast<double>(kMore));
}

void Scheduler::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Scheduler::~Scheduler() {
  stop();
  if (context_) llama_free(context_);
  if (threads_) ggml_threadpool_free(threads_);
  if (batch_threads_) ggml_threadpool_free(batch_threads_);
  if (batch_.token) llama_batch_free(batch_);
}

Result<void> Scheduler::submit(std::shared_ptr<Generation> generation) {
  std::size_t prompt = generation->request.prompt.size();
  if (prompt == 0) return Error(InferenceError::BadRequest, "The prompt is empty.");
  if (prompt + 1 > options_.context) {
    return Error(InferenceError::ContextExceeded, "The prompt has " + std::to_string(prompt) +
                                                      " tokens; the context holds " +
                                                      std::to_string(options_.context) + ".");
  }
  auto first = std::make_unique<Sequence>(generation, 0);
  // Here, not on the scheduler's thread: a grammar's beginning costs its own request's time only.
  for (std::size_t choice = 0; choice < generation->request.n; ++choice) {
    BULKHEAD_TRY(sampler, Sampler::make(model_, generation->request, choice));
    generation->samplers.push_back(std::move(sampler));
  }
  first->sampler = std::move(generation->samplers[0]);
  auto room = static_cast<std::int64_t>(options_.context - prompt);
  std::int64_t asked = generation->request.max_tokens;
  first->generated_max = asked > 0 ? std::min(asked, room) : room;
  first->arrived = std::chrono::steady_clock::now();
  generation->choices_left = generation->request.n;
  const RequestContext& who = generation->request.context;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return shutting_down();
    if (unclean_) return unclean();
    if (lines_.size(who.tenant) >= options_.line_max) {
      return Error(InferenceError::QueueFull, "Too many requests are waiting.");
    }
    lines_.push(who.tenant, who.weight, who.priority, std::move(first));
    stats_.waiting = lines_.size();
    stats_.waiting_tenants = lines_.parties();
  }
  work_.notify_one();
  return Result<void>();
}

void Scheduler::wake() {
  {
    std::lock_guard lock(mutex_);
    woken_ = true;
  }
  work_.notify_one();
}

Task<base::BurnReport> Scheduler::burn_kept(std::string tenant, std::optional<std::string> session) {
  auto command = std::make_shared<BurnCommand>();
  command->tenant = std::move(tenant);
  command->session = std::move(session);
  {
    std::lock_guard lock(mutex_);
    if (stopping_) co_return new_burn_report(options_.burn);  // all is burned on the way out
    commands_.push_back(command);
  }
  work_.notify_one();
  co_await command->done;
  co_return command->burned;
}

void Scheduler::run() {
  while (wait_for_work()) {
    run_commands();
    drop_cancelled();
    admit();
    step();
    finish_ended();
    if (unclean_) end_all(&unclean);
    stats_.kept_prefixes = prefixes_.entries();
    stats_.kept_bytes = prefixes_.bytes();
  }
  shut_down();
  pulse_.busy(false);
}

// What runs and what waits is told so; what ran is burned.
void Scheduler::end_all(base::Error (*reason)()) {
  for (auto& slot : slots_) {
    if (slot) slot->fail(reason());
  }
  finish_ended();
  std::vector<SequencePtr> waiting;
  {
    std::lock_guard lock(mutex_);
    while (auto next = lines_.take()) waiting.push_back(std::move(next->second));
  }
  for (SequencePtr& sequence : waiting) {
    if (std::exchange(sequence->generation->abandoned, true)) continue;
    GenerationChannel::Item last;
    last.error = reason();
    sequence->generation->channel->push(std::move(last));
  }
}

void Scheduler::shut_down() {
  end_all(&shutting_down);
  run_commands();
  prefixes_.burn_all();
}

bool Scheduler::wait_for_work() {
  std::unique_lock lock(mutex_);
  bool busy = std::any_of(slots_.begin(), slots_.end(), [](const auto& slot) { return slot != nullptr; });
  pulse_.busy(busy);
  if (!busy) {
    auto something = [this] { return stopping_ || woken_ || !lines_.empty() || !commands_.empty(); };
    if (auto expiry = prefixes_.next_expiry()) {
      work_.wait_until(lock, *expiry, something);
    } else {
      work_.wait(lock, something);
    }
    pulse_.busy(true);
  }
  woken_ = false;
  return !stopping_;
}

void Scheduler::run_commands() {
  prefixes_.burn_expired(std::chrono::steady_clock::now());
  std::deque<std::shared_ptr<BurnCommand>> commands;
  {
    std::lock_guard lock(mutex_);
    commands.swap(commands_);
  }
  for (const auto& command : commands) {
    command->burned = command->session ? prefixes_.burn_session(command->tenant, *command->session)
                                       : prefixes_.burn_tenant(command->tenant);
    command->done.set();
  }
}

}  // namespace bulkhead::inference
