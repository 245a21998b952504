// Deadlines without a timer per operation: what has a deadline registers once for its lifetime, and
// one timer per reactor walks the list every so often. Time-outs are therefore late by up to one
// interval. On the reactor's thread only.
#pragma once

#include <chrono>

#include "http/detail/asio.h"

namespace bulkhead::http::detail {

class Sweeper;

class Swept {
 public:
  Swept() = default;
  Swept(const Swept&) = delete;
  Swept& operator=(const Swept&) = delete;
  // May destroy this object and others.
  virtual void on_deadline() = 0;

  void set_deadline(SteadyTime deadline) { deadline_ = deadline; }
  void set_deadline_in(std::chrono::milliseconds time) {
    deadline_ = std::chrono::steady_clock::now() + time;
  }
  void clear_deadline() { deadline_ = SteadyTime::max(); }
  SteadyTime deadline() const { return deadline_; }

 protected:
  ~Swept();

 private:
  friend class Sweeper;
  Sweeper* sweeper_ = nullptr;
  Swept* next_ = nullptr;
  Swept* before_ = nullptr;
  SteadyTime deadline_ = SteadyTime::max();
};

class Sweeper {
 public:
  explicit Sweeper(asio::io_context& io) : timer_(io) {}
  // Connections that an io_context's destructor frees with its last operations come later than this.
  ~Sweeper();
  void add(Swept& swept);
  void remove(Swept& swept);
  // The sweep comes at least four times within `time` (bounded to 5 … 250 ms); the shortest wish
  // of all users counts.
  void want_precision(std::chrono::milliseconds time);

 private:
  void arm();
  void sweep();

  Timer timer_;
  std::chrono::milliseconds interval_{250};
  Swept* first_ = nullptr;
  Swept* cursor_ = nullptr;  // the next to visit while a sweep runs
  bool armed_ = false;
};

}  // namespace bulkhead::http::detail
