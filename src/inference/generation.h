// One request inside the worker, from queue to burn, and the channel on which its text goes to the HTTP
// side.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/burn_report.h"
#include "base/result.h"
#include "base/task.h"
#include "inference/error.h"
#include "inference/request.h"

namespace bulkhead::inference {

struct GenerationResult {
  std::int64_t prompt_tokens = 0, completion_tokens = 0;
  std::int64_t cached_tokens = 0;  // of the prompt, not read again
  base::BurnReport burn;
};

struct TokenLogprob {
  std::string bytes;
  float logprob = 0;
  std::vector<std::pair<std::string, float>> top;  // likeliest first
};

// From the scheduler's thread to a coroutine: pieces of text of each choice, the end of each choice, then
// a result or an error. Unbounded in form, bounded in fact by max_tokens.
class GenerationChannel {
 public:
  struct Item {
    std::size_t choice = 0;
    std::string text;
    std::int64_t tokens = 0;  // generated since this choice's last item
    std::vector<TokenLogprob> logprobs;
    std::string finish_reason;               // "stop", "length": this choice has ended
    std::optional<GenerationResult> result;  // last item of all
    std::optional<base::Error> error;        // last item of all
  };
  void push(Item item);
  // The next item; pieces of one choice that have piled up come as one. One reader.
  base::Task<Item> next();

 private:
  static bool joins(const Item& first, const Item& second);
  std::mutex mutex_;
  std::deque<Item> items_;
  std::shared_ptr<base::Event> waiting_;
};

class Sampler;

struct Generation {
  Generation();
  ~Generation();
  GenerationRequest request;
  std::shared_ptr<GenerationChannel> channel = std::make_shared<GenerationChannel>();
  base::CancelToken cancel;
  // The scheduler's thread alone:
  std::vector<std::unique_ptr<Sampler>> samplers;  // of the choices that wait for the first one's prompt
  std::size_t choices_left = 0;
  bool abandoned = false;  // a choice has failed: the others have nobody to write to
  GenerationResult result;
};

}  // namespace bulkhead::inference
