#include "inference/embedder.h"

#include <algorithm>
#include <cmath>

#include "ggml-cpu.h"
#include "llama-ext.h"

namespace bulkhead::inference {

using base::Error;
using base::Result;
using base::Task;

namespace {

constexpr std::size_t kBatchTokens = 2048;
constexpr std::size_t kSequencesMax = 16;
constexpr std::size_t kQueueMax = 256;
constexpr int kPollLevel = 0;

}  // namespace

Result<std::unique_ptr<Embedder>> Embedder::start(const Model& model, int threads, bool burn) {
  std::unique_ptr<Embedder> embedder(new Embedder(model, burn));
  llama_context_params params = llama_context_default_params();
  params.embeddings = true;
  params.pooling_type = LLAMA_POOLING_TYPE_MEAN;
  params.n_ctx = kBatchTokens;
  params.n_batch = params.n_ubatch = kBatchTokens;
  params.n_seq_max = kSequencesMax;
  params.n_threads = params.n_threads_batch = threads;
  params.no_perf = true;
  embedder->context_ = llama_init_from_model(model.handle(), params);
  if (!embedder->context_) {
    return Error(InferenceError::Failed, "The embedding model's context could not be made.");
  }
  ggml_threadpool_params pool = ggml_threadpool_params_default(threads);
  pool.poll = kPollLevel;
  embedder->threads_ = ggml_threadpool_new(&pool);
  llama_attach_threadpool(embedder->context_, embedder->threads_, embedder->threads_);
  embedder->batch_ = llama_batch_init(static_cast<int>(kBatchTokens), 0, 1);
  Embedder* raw = embedder.get();
  embedder->thread_ = std::thread([raw] { raw->run(); });
  return embedder;
}

Embedder::~Embedder() {
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

std::int64_t Embedder::context() const { return model_.trained_context(); }
std::int64_t Embedder::dimensions() const { return llama_model_n_embd(model_.handle()); }

Task<Result<EmbeddingResult>> Embedder::embed(std::vector<Tokens> texts) {
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].size() <= static_cast<std::size_t>(context())) continue;
    co_return Error(InferenceError::ContextExceeded,
                    "Text " + std::to_string(i) + " has " + std::to_string(texts[i].size()) +
                        " tokens; the embedding model takes " + std::to_string(context()) + ".")
        .with_parameter("input[" + std::to_string(i) + "]");
  }
  auto job = std::make_shared<Job>();
  job->texts = std::move(texts);
  {
    std::lock_guard lock(mutex_);
    if (stopping_) co_return Error(InferenceError::ShuttingDown, "The engine is shutting down.");
    if (queue_.size() >= kQueueMax) {
      co_return Error(InferenceError::QueueFull, "Too many embedding requests are waiting.");
    }
    queue_.push_back(job);
  }
  work_.notify_one();
  co_await job->done;
  co_return std::move(*job->result);
}

void Embedder::run() {
  while (true) {
    std::shared_ptr<Job> job;
    {
      std::unique_lock lock(mutex_);
      work_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    job->result.emplace(compute(job->texts));
    job->done.set();
  }
}

Result<EmbeddingResult> Embedder::compute(const std::vector<Tokens>& texts) {
  EmbeddingResult out;
  out.vectors.resize(texts.size());
  std::size_t begin = 0;
  bool encoded = true;
  while (begin < texts.size() && encoded) {
    std::size_t end = begin;
    std::size_t tokens = 0;
    while (end < texts.size() && end - begin < kSequencesMax && tokens + texts[end].size() <= kBatchTokens) {
      tokens += texts[end++].size();
    }
    out.tokens += static_cast<std::int64_t>(tokens);
    encoded = encode(texts, begin, end, out);
    begin = end;
  }
  if (burn_) {
    llama_context_scrub(context_);
    std::fill(batch_.token, batch_.token + kBatchTokens, 0);
    out.cleared = true;
  }
  if (!encoded) return Error(InferenceError::Failed, "The embedding model failed on this input.");
  return out;
}

bool Embedder::encode(const std::vector<Tokens>& texts, std::size_t begin, std::size_t end,
                      EmbeddingResult& out) {
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
  auto width = static_cast<std::size_t>(dimensions());
  for (std::size_t i = begin; i < end; ++i) {
    const float* row = llama_get_embeddings_seq(context_, static_cast<llama_seq_id>(i - begin));
    if (!row) return false;
    double norm = 0;
    for (std::size_t k = 0; k < width; ++k) norm += static_cast<double>(row[k]) * row[k];
    auto scale = norm > 0 ? static_cast<float>(1 / std::sqrt(norm)) : 0.0f;
    out.vectors[i].resize(width);
    for (std::size_t k = 0; k < width; ++k) out.vectors[i][k] = row[k] * scale;
  }
  return true;
}

}  // namespace bulkhead::inference
