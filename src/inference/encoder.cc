#include "inference/encoder.h"

#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "ggml-cpu.h"
#include "llama-ext.h"

namespace bulkhead::inference {

using base::Error;
using base::Result;
using base::Task;

namespace {

constexpr std::size_t kBatchTokens = 2048;  // the longest text
// Texts share a batch up to here. More gains nothing, and every text's attention passes over all of them.
constexpr std::size_t kSharedTokens = 512;
constexpr std::size_t kSequencesMax = 16;
constexpr std::size_t kLineMax = 64;  // waiting requests of one tenant
constexpr int kPollLevel = 0;

}  // namespace

Result<std::unique_ptr<Encoder>> Encoder::start(const Model& model, EncoderUse use, int threads, bool burn,
                                                base::LoopPulse pulse) {
  std::unique_ptr<Encoder> encoder(new Encoder(model, use, burn, pulse));
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

Task<Result<EncodedTexts>> Encoder::encode(std::string tenant, double weight, std::vector<Tokens> texts,
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
  job->tenant = std::move(tenant);
  job->weight = weight;
  job->texts = std::move(texts);
  job->result.rows.resize(job->texts.size());
  {
    std::lock_guard lock(mutex_);
    if (stopping_) co_return Error(InferenceError::ShuttingDown, "The engine is shutting down.");
    if (queue_.size(job->tenant) >= kLineMax) {
      co_return Error(InferenceError::QueueFull, "Too many requests are waiting for this model.");
    }
    queue_.push(job->tenant, job->weight, 0, job);
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
      job = queue_.take()->second;
    }
    pulse_.busy(true);
    std::size_t tokens = compute_batch(*job);
    bool finished = job->failure || job->done_texts == job->texts.size();
    {
      std::lock_guard lock(mutex_);
      queue_.charge(job->tenant, static_cast<double>(tokens));
      if (!finished) queue_.push_front(job->tenant, job->weight, job);
    }
    if (finished) job->done.set();
  }
}

std::size_t Encoder::compute_batch(Job& job) {
  std::size_t end = job.done_texts, tokens = 0;
  while (end < job.texts.size() && end - job.done_texts < kSequencesMax &&
         (tokens == 0 || tokens + job.texts[end].size() <= kSharedTokens)) {
    tokens += job.texts[end++].size();
  }
  if (!compute(job, end)) job.failure.emplace(InferenceError::Failed, "The model failed on this input.");
  job.result.tokens += static_cast<std::int64_t>(tokens);
  if (burn_) {
    llama_context_scrub(context_);
    std::fill(batch_.token, batch_.token + kBatchTokens, 0);
    for (std::size_t i = job.done_texts; i < end; ++i) {
      base::wipe(job.texts[i].data(), job.texts[i].size() * sizeof(Token));
    }
    job.result.cleared = true;
  }
  job.done_texts = end;
  return tokens;
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
