// One chat request inside the worker, from queue to burn, and the channel on which its text goes to
// the HTTP side.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "inference/burn.h"
#include "inference/error.h"
#include "inference/model.h"

namespace bulkhead::inference {

struct GenerationRequest {
  std::string tenant, session, request_id;
  Tokens prompt;
  std::int64_t max_tokens = 0;  // of the answer; the scheduler lowers it to what fits
  double temperature = 0.7;
  double top_p = 0.95;
  std::optional<std::int64_t> seed;
  std::vector<std::string> stop;
};

struct GenerationResult {
  std::string finish_reason;  // "stop", "length"
  std::int64_t prompt_tokens = 0, completion_tokens = 0;
  BurnResult burn;
};

// From the scheduler's thread to a coroutine: pieces of text, then a result or an error.
// Unbounded in form, bounded in fact by max_tokens.
class GenerationChannel {
 public:
  struct Item {
    std::string text;
    std::optional<GenerationResult> result;  // last item
    std::optional<base::Error> error;        // last item
  };
  void push(Item item);
  // The next item; text pieces that have piled up come as one. One reader.
  base::Task<Item> next();

 private:
  std::mutex mutex_;
  std::deque<Item> items_;
  std::shared_ptr<base::Event> waiting_;
};

struct Generation {
  GenerationRequest request;
  std::shared_ptr<GenerationChannel> channel;
  base::CancelToken cancel;
};

}  // namespace bulkhead::inference
