// The embedder: sentence vectors from a context and thread of its own. One batch of one request at a
// time; after each batch the tenant with the least service goes on (base/fair_lines.h), so that a tenant
// that loads its documents delays another's question by one batch. Everything of a batch is cleared
// before the next one begins.
// Thread safety: `submit` from every thread.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/fair_lines.h"
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
  base::Task<base::Result<EmbeddingResult>> embed(std::string tenant, double weight,
                                                  std::vector<Tokens> texts);
  std::int64_t context() const;
  std::int64_t dimensions() const;

 private:
  struct Job {
    std::string tenant;
    double weight = 1;
    std::vector<Tokens> texts;
    std::size_t done_texts = 0;
    EmbeddingResult result;
    std::optional<base::Error> failure;
    base::Event done;
  };
  explicit Embedder(const Model& model, bool burn) : model_(model), burn_(burn) {}
  void run();
  // Embeds the job's next texts; gives how many tokens they had.
  std::size_t compute_batch(Job& job);
  bool encode(Job& job, std::size_t end);

  const Model& model_;
  const bool burn_;
  llama_context* context_ = nullptr;
  struct ggml_threadpool* threads_ = nullptr;
  llama_batch batch_{};
  std::mutex mutex_;
  std::condition_variable work_;
  base::FairLines<std::shared_ptr<Job>> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace bulkhead::inference
