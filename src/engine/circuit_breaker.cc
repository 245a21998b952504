#include "engine/circuit_breaker.h"

namespace bulkhead::engine {

CircuitBreaker::State CircuitBreaker::state_locked() const {
  if (!open_) return State::Closed;
  return clock_.monotonic() - opened_ >= options_.open_time ? State::HalfOpen : State::Open;
}

bool CircuitBreaker::allow() {
  std::lock_guard lock(mutex_);
  switch (state_locked()) {
    case State::Closed: return true;
    case State::Open: return false;
    case State::HalfOpen: break;
  }
  if (trial_) return false;
  trial_ = true;
  return true;
}

bool CircuitBreaker::would_allow() const {
  std::lock_guard lock(mutex_);
  const State state = state_locked();
  return state == State::Closed || (state == State::HalfOpen && !trial_);
}

bool CircuitBreaker::succeeded() {
  std::lock_guard lock(mutex_);
  failures_ = 0;
  // A request from before it opened says nothing of the replica now.
  if (!open_ || state_locked() == State::Open) return false;
  open_ = trial_ = false;
  return true;
}

bool CircuitBreaker::failed() {
  std::lock_guard lock(mutex_);
  ++failures_;
  if (open_) {
    if (state_locked() == State::HalfOpen) opened_ = clock_.monotonic();
    trial_ = false;
    return false;
  }
  if (failures_ < options_.failures_max) return false;
  open_ = true;
  trial_ = false;
  opened_ = clock_.monotonic();
  return true;
}

void CircuitBreaker::gave_up() {
  std::lock_guard lock(mutex_);
  trial_ = false;
}

CircuitBreaker::State CircuitBreaker::state() const {
  std::lock_guard lock(mutex_);
  return state_locked();
}

std::string_view breaker_state_name(CircuitBreaker::State state) {
  switch (state) {
    case CircuitBreaker::State::Closed: return "closed";
    case CircuitBreaker::State::HalfOpen: return "half_open";
    case CircuitBreaker::State::Open: return "open";
  }
  return "unknown";
}

}  // namespace bulkhead::engine
