#include "inference/generation.h"

namespace bulkhead::inference {

using base::Task;

void GenerationChannel::push(Item item) {
  std::shared_ptr<base::Event> waiting;
  {
    std::lock_guard lock(mutex_);
    items_.push_back(std::move(item));
    waiting.swap(waiting_);
  }
  if (waiting) waiting->set();
}

Task<GenerationChannel::Item> GenerationChannel::next() {
  while (true) {
    std::shared_ptr<base::Event> event;
    {
      std::lock_guard lock(mutex_);
      if (!items_.empty()) {
        Item item = std::move(items_.front());
        items_.pop_front();
        while (!item.result && !item.error && !items_.empty() && !items_.front().result &&
               !items_.front().error) {
          item.text += items_.front().text;
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
