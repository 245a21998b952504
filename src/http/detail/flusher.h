// Sends of one turn of the event loop, made together at its end.
//
// Each send to a peer that waits on another core wakes it up, which costs more than the send itself. A
// peer that is still busy with the first answer of a turn need not be woken for the others (measured on
// two virtual cores: a quarter of the proxy's time at full load went into waking). What is waiting to
// be sent delays nobody for longer than the turn takes, and at most kTogetherMax others.
// On the reactor's thread only.
#pragma once

#include <memory>
#include <vector>

#include "http/detail/asio.h"

namespace bulkhead::http::detail {

class Stream;

class Flusher {
 public:
  explicit Flusher(asio::io_context& io) : io_(io) {}
  // The stream's write is tried when this turn ends.
  void add(std::shared_ptr<Stream> stream);

 private:
  static constexpr std::size_t kTogetherMax = 24;
  void flush();

  asio::io_context& io_;
  std::vector<std::shared_ptr<Stream>> waiting_, sending_;
  bool posted_ = false;
  bool flushing_ = false;
};

}  // namespace bulkhead::http::detail
