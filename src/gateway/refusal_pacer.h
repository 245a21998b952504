// RefusalPacer: how soon an answer that refuses (401, 403, 429, and any other 4xx to a large body) may leave.
//
// A refusal costs its sender nothing and the gateway a parsed request, so a client that is refused and asks
// again at once takes the processor from everybody. Each party (a principal; before there is one, an address)
// has a number of refusals that are answered at once; beyond it they are answered at a steady rate, each
// waiting for its turn, for `wait_max` at most. A tenant as a whole has ten times as much, however many
// principals it makes. A client waits for its answers, so a flood over N connections makes no more than the
// rate, or N / wait_max requests a second if that is more. Who is refused now and then never waits, and no
// answer but a refusal does.
//
// An answer that waits holds its connection and nothing else: neither a place among requests at once, nor
// memory of a body. Thread safety: all members from every thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "gateway/token_buckets.h"

namespace bulkhead::gateway {

class RefusalPacer {
 public:
  struct Limits {
    std::size_t at_once = 100;  // of one party
    double per_second = 20;     // beyond them; 0: none ever waits
    std::chrono::milliseconds wait_max{5'000};
  };
  RefusalPacer(const base::Clock& clock, Limits limits);

  // Counts a refusal to `party` of `tenant` ("": of none), for as many as its body's size makes it. How long
  // its answer is to wait; party "" never waits.
  std::chrono::milliseconds refused(const std::string& tenant, const std::string& party,
                                    std::uint64_t body_bytes = 0);
  // Whether an answer of this status is a refusal to be counted: a large body costs to be read, whatever is
  // wrong with it.
  static bool counts(int status, std::uint64_t body_bytes);

 private:
  const Limits limits_;
  TokenBuckets parties_, tenants_;
};

}  // namespace bulkhead::gateway
