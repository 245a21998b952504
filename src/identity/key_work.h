// What the key sets of one Authenticator share: threads for reading an issuer's keys and for signatures that
// take long to check, and the end of their background work.
//
// A key set hands in one piece of work at a time, so the order of coming is turns between issuers: one with
// many or large keys delays another by the pieces that are under way, not by its whole set.
// Thread safety: all members from every thread; `stop` blocks, so never on a reactor.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/task.h"

namespace bulkhead::identity {

class KeyWork {
 public:
  // `fetch_time_max`: from the first request for a set to its last byte, however the issuer drips.
  explicit KeyWork(std::chrono::milliseconds fetch_time_max = std::chrono::seconds(20))
      : fetch_time_max(fetch_time_max) {}
  KeyWork(const KeyWork&) = delete;
  // Ends the renewals that run and waits for them; before their reactors stop.
  void stop() {
    stopping.cancel("shutdown");
    renewals.close();
  }

  const std::chrono::milliseconds fetch_time_max;
  base::BlockingPool pool{kThreads, kWaitingMax};
  base::Gate renewals;
  base::CancelToken stopping;

 private:
  static constexpr std::size_t kThreads = 2;
  static constexpr std::size_t kWaitingMax = 1'000;
};

}  // namespace bulkhead::identity
