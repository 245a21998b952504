#include "inference/encoder.h"

#include <algorithm>
#include <cmath>

#include "ggml-cpu.h"

namespace bulkhead::inference {

using base::Error;
using base::Result;
using base::Task;

namespace {

constexpr std::size_t kBatchTokens = 2048;  // the longest text
// Texts share a batch up to here. More gains nothing, and every text's attention passes over all of them.
constexpr std::size_t kSharedTokens = 512;
// The same for documents: what a question that comes meanwhile waits for.
constexpr std::size_t kSharedTokensBackground = 256;
constexpr std::size_t kSequencesMax = 16;
constexpr std::size_t kLineMax = 64;  // waiting requests of one tenant
constexpr int kPollLevel = 0;

}  // namespace

Result<std::unique_ptr<Encoder>> Encoder::start(const Model& model, EncoderUse use, int threads, bool burn,
                                                std::function<void()> unclean, Eraser eraser,
                                                base::LoopPulse pulse) {
  std::unique_ptr<Encoder> encoder(
      new Encoder(model, use, burn, std::move(unclean), std::move(eraser), pulse));
  llama_context_params params = llama_context_default_params();
  params.embeddings = true;
  params.pooling_type = use == EncoderUse::Ranking ? LLAMA_POOLING_TYPE_RANK : LLAMA_POOLING_TYPE_MEAN;
  params.n_ctx = kBatchTokens;
  params.n_batch = params.n_ubatch = kBatchTokens;
  params.n_seq_max = kSequencesMax;
  params.n_threads = params.n_threads_batch = threads;
  params.no_perf = true;
  encoder->context_ = llama_init_from_model(model.handle(), params);
  if (!encoder->context_) {
    return Error(InferenceError::Failed,
                 "The context of the model \"" + model.id() + "\" could not be made.");
  }
  ggml_threadpool_params pool = ggml_threadpool_params_default(threads);
  pool.poll = kPollLevel;
  encoder->threads_ = ggml_threadpool_new(&pool);
  llama_attach_threadpool(encoder->context_, encoder->threads_, encoder->threads_);
  encoder->batch_ = llama_batch_init(static_cast<int>(kBatchTokens), 0, 1);
  Encoder* raw = encoder.get();
  encoder->thread_ = std::thread([raw] { raw->run(); });
  return encoder;
}

Encoder::~Encoder() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (context_) llama_free(context_);
  if (threads_) ggml_threadpool_free(threads_);
  if (batch_.token) llama_batch_free(batch_);
}

std::int64_t Encoder::context() const {
  return std::min(model_.trained_context(), static_cast<std::int64_t>(kBatchTokens));
}

std::int64_t Encoder::dimensions() const {
  return use_ == EncoderUse::Ranking ? 1 : llama_model_n_embd(model_.handle());
}

Task<Result<EncodedTexts>> Encoder::encode(Caller caller, std::vector<Tokens> texts,
                                           std::string_view parameter) {
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].size() <= static_cast<std::size_t>(context())) continue;
    std::string name = std::string(parameter) + "[" + std::to_string(i) + "]";
    std::string with_what = use_ == EncoderUse::Ranking ? " has with the query " : " has ";
    co_return Error(InferenceError::ContextExceeded, name + with_what + std::to_string(texts[i].size()) +
                                                         " tokens; the model takes " +
                                                         std::to_string(context()) + ".")
        .with_parameter(name);
  }
  auto job = std::make_shared<Job>();
  job->caller = std::move(caller);
  job->texts = std::move(texts);
  job->result.rows.resize(job->texts.size());
  {
    std::lock_guard lock(mutex_);
    if (stopping_) co_return Error(InferenceError::ShuttingDown, "The engine is shutting down.");
    if (queue_.size(job->caller.tenant) >= kLineMax) {
      co_return Error(InferenceError::QueueFull, "Too many requests are waiting for this model.");
    }
    queue_.push(job->caller.priority, job->caller.tenant, job->caller.weight, job);
  }
  work_.notify_one();
  co_await job->done;
  if (job->failure) co_return std::move(*job->failure);
  co_return std::move(job->result);
}

void Encoder::run() {
  while (true) {
    std::shared_ptr<Job> job;
    {
      std::unique_lock lock(mutex_);
      pulse_.busy(!queue_.empty());
      work_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      job = queue_.take()->item;
    }
    pulse_.busy(true);
    std::size_t tokens = 0;
    if (lost_) {
      job->failure.emplace(InferenceError::ShuttingDown, "The engine is shutting down.");
    } else if (job->caller.cancel.cancelled()) {
      job->failure.emplace(InferenceError::Cancelled, "The request was cancelled.");
    } else {
      tokens = compute_batch(*job);
    }
    const bool finished = job->failure || job->done_texts == job->texts.size();
    {
      std::lock_guard lock(mutex_);
      const Caller& caller = job->caller;
      queue_.charge(caller.priority, caller.tenant, static_cast<double>(tokens));
      // Behind the tenant's other requests: a long one doesn't hold up its colleagues' short ones.
      if (!finished) queue_.push(caller.priority, caller.tenant, caller.weight, job);
    }
    if (finished) job->done.set();
  }
}

std::size_t Encoder::compute_batch(Job& job) {
  const std::size_t shared = job.caller.priority == 0 ? kSharedTokens : kSharedTokensBackground;
  std::size_t end = job.done_texts, tokens = 0;
  while (end < job.texts.size() && end - job.done_texts < kSequencesMax &&
         (tokens == 0 || tokens + job.texts[end].size() <= shared)) {
    tokens += job.texts[end++].size();
  }
  if (!compute(job, end)) job.failure.emplace(InferenceError::Failed, "The model failed on this input.");
  job.result.tokens += static_cast<std::int64_t>(tokens);
  const base::BurnReport report = clear(job, end);
  if (!all_proven(report)) {
    job.failure.emplace(InferenceError::Failed, "The engine could not clear its memory and is started anew.");
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    lost_ = true;
    unclean_();
  }
  job.result.burn.add(report);
  job.done_texts = end;
  return tokens;
}

// Nothing here is kept from one batch to the next, so there are no rows.
base::BurnReport Encoder::clear(Job& job, std::size_t end) {
  base::BurnReport report = scrub_context(context_, burn_, eraser_);
  if (!burn_) return report;
  clear_and_check(batch_.token, kBatchTokens * sizeof(Token), base::Memory::Batch, report);
  for (std::size_t i = job.done_texts; i < end; ++i) {
    clear_and_check(job.texts[i].data(), job.texts[i].size() * sizeof(Token), base::Memory::Batch, report);
    report.tokens_erased += job.texts[i].size();
  }
  return report;
}

bool Encoder::compute(Job& job, std::size_t end) {
  const std::vector<Tokens>& texts = job.texts;
  const std::size_t begin = job.done_texts;
  batch_.n_tokens = 0;
  for (std::size_t i = begin; i < end; ++i) {
    for (std::size_t k = 0; k < texts[i].size(); ++k) {
      int at = batch_.n_tokens++;
      batch_.token[at] = texts[i][k];
      batch_.pos[at] = static_cast<llama_pos>(k);
      batch_.n_seq_id[at] = 1;
      batch_.seq_id[at][0] = static_cast<llama_seq_id>(i - begin);
      batch_.logits[at] = 1;
    }
  }
  if (llama_encode(context_, batch_) != 0) return false;
  for (std::size_t i = begin; i < end; ++i) {
    const float* raw = llama_get_embeddings_seq(context_, static_cast<llama_seq_id>(i - begin));
    if (!raw) return false;
    job.result.rows[i] = row_of(raw);
  }
  return true;
}

std::vector<float> Encoder::row_of(const float* raw) const {
  std::vector<float> row(raw, raw + dimensions());
  if (use_ == EncoderUse::Ranking) return row;
  double norm = 0;
  for (float x : row) norm += static_cast<double>(x) * x;
  auto scale = norm > 0 ? static_cast<float>(1 / std::sqrt(norm)) : 0.0f;
  for (float& x : row) x *= scale;
  return row;
}

}  // namespace bulkhead::inference
