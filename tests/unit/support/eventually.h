// Waits for what another thread or process brings about: the only place where unit tests sleep.
#pragma once

#include <chrono>
#include <thread>

namespace bulkhead::test {

// True as soon as the condition holds. The deadline is one that only a failure reaches.
template <typename Condition>
bool eventually(Condition condition, std::chrono::seconds patience = std::chrono::seconds(120)) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace bulkhead::test
