#include "inference/generation.h"

#include <iterator>

#include "inference/sampler.h"

namespace bulkhead::inference {

using base::Task;

Generation::Generation() = default;
Generation::~Generation() = default;

void GenerationChannel::push(Item item) {
  std::shared_ptr<base::Event> waiting;
  {
    std::lock_guard lock(mutex_);
    items_.push_back(std::move(item));
    waiting.swap(waiting_);
  }
  if (waiting) waiting->set();
}

bool GenerationChannel::joins(const Item& first, const Item& second) {
  auto plain = [](const Item& item) { return item.finish_reason.empty() && !item.result && !item.error; };
  return plain(first) && plain(second) && first.choice == second.choice;
}

Task<GenerationChannel::Item> GenerationChannel::next() {
  while (true) {
    std::shared_ptr<base::Event> event;
    {
      std::lock_guard lock(mutex_);
      if (!items_.empty()) {
        Item item = std::move(items_.front());
        items_.pop_front();
        while (!items_.empty() && joins(item, items_.front())) {
          Item& more = items_.front();
          item.text += more.text;
          item.tokens += more.tokens;
          std::move(more.logprobs.begin(), more.logprobs.end(), std::back_inserter(item.logprobs));
          items_.pop_front();
        }
        co_return item;
      }
      event = waiting_ = std::make_shared<base::Event>();
    }
    co_await *event;
  }
}

}  // namespace bulkhead::inference
