// TokenBuckets: one token bucket for each of many names, in bounded memory.
//
// A bucket begins full, refills continuously and may go into debt down to `floor`. Names whose buckets are
// full again are forgotten first; names beyond the bound share one bucket, so that no number of names makes
// the table grow, and none costs a name that has its own anything. Thread safety: all members from every
// thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/clock.h"

namespace bulkhead::gateway {

class TokenBuckets {
 public:
  struct Shape {
    double capacity = 1;    // tokens in a full bucket
    double per_second = 1;  // refill
    double floor = 0;       // never less is left, however much is taken
  };
  TokenBuckets(const base::Clock& clock, Shape shape, std::size_t names_max = 10'000);
  ~TokenBuckets();

  // Tokens left for this name now; negative: a debt.
  double left(const std::string& name) const;
  // Takes so many tokens; how many are left then.
  double take(const std::string& name, double count = 1);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::gateway
