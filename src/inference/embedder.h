// The embedder: sentence vectors from a context and thread of its own, one request at a time, its
// texts batched; everything of a request is cleared before the next one begins.
// Thread safety: `submit` from every thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "inference/burn.h"
#include "inference/error.h"
#include "inference/model.h"

namespace bulkhead::inference {

struct EmbeddingResult {
  std::vector<std::vector<float>> vectors;  // unit length
  std::int64_t tokens = 0;
  bool cleared = false;
};

class Embedder {
 public:
  static base::Result<std::unique_ptr<Embedder>> start(const Model& model, int threads, bool burn);
  ~Embedder();

  // Each text's tokens; resumes the caller when done. ContextExceeded names the text by index.
  base::Task<base::Result<EmbeddingResult>> embed(std::vector<Tokens> texts);
  std::int64_t context() const;
  std::int64_t dimensions() const;

 private:
  struct Job {
    std::vector<Tokens> texts;
    base::Event done;
    std::optional<base::Result<EmbeddingResult>> result;
  };
  explicit Embedder(const Model& model, bool burn) : model_(model), burn_(burn) {}
  void run();
  base::Result<EmbeddingResult> compute(const std::vector<Tokens>& texts);
  bool encode(const std::vector<Tokens>& texts, std::size_t begin, std::size_t end, EmbeddingResult& out);

  const Model& model_;
  const bool burn_;
  llama_context* context_ = nullptr;
  struct ggml_threadpool* threads_ = nullptr;
  llama_batch batch_{};
  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<std::shared_ptr<Job>> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace bulkhead::inference
