// Tells the operator why tokens are refused: one line of the log for the first refusal of a kind (issuer,
// reason, claim) in a minute, then the next one says how many there were between. Holds the configured
// issuer's name, the reason, the claim and what was expected of it; never anything of the token. Thread
// safety: all members from every thread.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>

#include "base/clock.h"
#include "base/error.h"
#include "identity/issuer_config.h"

namespace bulkhead::identity {

class RefusalLog {
 public:
  explicit RefusalLog(const base::Clock& clock) : clock_(clock) {}
  // `issuer`: of the configuration; "" for a token of none.
  void add(std::string_view issuer, const base::Error& error);

 private:
  struct Kind {
    base::MonotonicTime said{};
    std::int64_t unsaid = 0;
  };
  using Key = std::tuple<std::string, std::string, std::string>;

  const base::Clock& clock_;
  std::mutex mutex_;
  std::map<Key, Kind> kinds_;
};

// How an `iss` that is not configured differs from the configured one that is like it, for operators; "" when
// it is like none. Says nothing of `named` itself.
std::string near_miss(std::string_view named, const std::vector<std::string>& configured);

}  // namespace bulkhead::identity
