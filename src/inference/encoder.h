// The encoder: models that read a text once and write nothing, in a context and thread of their own.
// Two uses of one loop: sentence vectors of texts, and the scores of a cross-encoder, which reads a
// query and a document together. One batch of one request at a time; after each batch it is decided anew
// who goes on: interactive requests before background and maintenance (base/fair_classes.h), in a class the
// tenant with the least service, and in a tenant its requests in turn. A question waits for one batch of
// another tenant's documents, and batches of documents are small. A request whose caller left is given up
// before its next batch. Everything of a batch is cleared before the next one begins; where that fails the
// job fails, nothing more is taken, and `unclean` is told. Thread safety: `encode` from every thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/fair_classes.h"
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
  base::BurnReport burn;
};

class Encoder {
 public:
  static base::Result<std::unique_ptr<Encoder>> start(
      const Model& model, EncoderUse use, int threads, bool burn, std::function<void()> unclean = [] {},
      Eraser eraser = Eraser::real(), base::LoopPulse pulse = {});
  ~Encoder();

  // Whose request it is, from the signed context.
  struct Caller {
    std::string tenant;
    double weight = 1;
    std::size_t priority = 0;  // 0: interactive, 1: background, 2: maintenance
    base::CancelToken cancel = {};
  };
  // Each text's tokens; resumes the caller when done. ContextExceeded names the text by its index in
  // the body's member `parameter`; Cancelled when the caller left
  // before the last batch.
  base::Task<base::Result<EncodedTexts>> encode(Caller caller, std::vector<Tokens> texts,
                                                std::string_view parameter);
  // Tokens that one text may have.
  std::int64_t context() const;
  // Numbers of one row.
  std::int64_t dimensions() const;

 private:
  struct Job {
    Caller caller;
    std::vector<Tokens> texts;
    std::size_t done_texts = 0;
    EncodedTexts result;
    std::optional<base::Error> failure;
    base::Event done;
  };
  Encoder(const Model& model, EncoderUse use, bool burn, std::function<void()> unclean, Eraser eraser,
          base::LoopPulse pulse)
      : model_(model),
        use_(use),
        burn_(burn),
        unclean_(std::move(unclean)),
        eraser_(std::move(eraser)),
        pulse_(pulse) {}
  base::BurnReport clear(Job& job, std::size_t end);
  void run();
  // Computes the job's next texts; gives how many tokens they had.
  std::size_t compute_batch(Job& job);
  bool compute(Job& job, std::size_t end);
  std::vector<float> row_of(const float* raw) const;

  const Model& model_;
  const EncoderUse use_;
  const bool burn_;
  const std::function<void()> unclean_;
  const Eraser eraser_;
  base::LoopPulse pulse_;
  llama_context* context_ = nullptr;
  struct ggml_threadpool* threads_ = nullptr;
  llama_batch batch_{};
  std::mutex mutex_;
  std::condition_variable work_;
  // In tokens: what a tenant that was away is computed before it takes turns.
  static constexpr double kCredit = 2048;
  base::FairClasses<std::shared_ptr<Job>> queue_{kCredit};
  bool stopping_ = false;
  bool lost_ = false;  // memory could not be cleared; the encoder's thread alone
  std::thread thread_;
};

}  // namespace bulkhead::inference
