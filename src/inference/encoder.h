// The encoder: models that read a text once and write nothing, in a context and thread of their own.
// Two uses of one loop: sentence vectors of texts, and the scores of a cross-encoder, which reads a
// query and a document together. One batch of one request at a time; after each batch the tenant with
// the least service goes on (base/fair_lines.h), so that a tenant that loads its documents delays
// another's question by one batch. Everything of a batch is cleared before the next one begins.
// Thread safety: `encode` from every thread.
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
#include "base/worker_pulse.h"
#include "inference/burn.h"
#include "inference/error.h"
#include "inference/model.h"

namespace bulkhead::inference {

// What a text becomes: a vector of unit length, or the one number of a cross-encoder's head as it is.
enum class EncoderUse { Embedding, Ranking };

struct EncodedTexts {
  std::vector<std::vector<float>> rows;  // of each text: its vector, or one score
  std::int64_t tokens = 0;
  bool cleared = false;
};

class Encoder {
 public:
  static base::Result<std::unique_ptr<Encoder>> start(const Model& model, EncoderUse use, int threads,
                                                      bool burn, base::LoopPulse pulse = {});
  ~Encoder();

  // Each text's tokens; resumes the caller when done. ContextExceeded names the text by its index in
  // the body's member `parameter`.
  base::Task<base::Result<EncodedTexts>> encode(std::string tenant, double weight, std::vector<Tokens> texts,
                                                std::string_view parameter);
  // Tokens that one text may have.
  std::int64_t context() const;
  // Numbers of one row.
  std::int64_t dimensions() const;

 private:
  struct Job {
    std::string tenant;
    double weight = 1;
    std::vector<Tokens> texts;
    std::size_t done_texts = 0;
    EncodedTexts result;
    std::optional<base::Error> failure;
    base::Event done;
  };
  Encoder(const Model& model, EncoderUse use, bool burn, base::LoopPulse pulse)
      : model_(model), use_(use), burn_(burn), pulse_(pulse) {}
  void run();
  // Computes the job's next texts; gives how many tokens they had.
  std::size_t compute_batch(Job& job);
  bool compute(Job& job, std::size_t end);
  std::vector<float> row_of(const float* raw) const;

  const Model& model_;
  const EncoderUse use_;
  const bool burn_;
  base::LoopPulse pulse_;
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
