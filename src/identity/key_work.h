// What the key sets of one Authenticator share: threads for reading an issuer's keys and for signatures that
// take long to check, and the end of their background work.
//
// Issuers take turns, one thread each at most: one with many or large keys delays another by no more than the
// piece that is under way.
// Thread safety: all members from every thread; `stop` blocks, so never on a reactor.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/fair_pool.h"
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
    stopping.cancel(base::CancelReason::Shutdown);
    renewals.close();
  }

  const std::chrono::milliseconds fetch_time_max;
  base::FairPool pool{
      {.threads = 2, .threads_per_party = 1, .threads_reserved = 0, .waiting_per_party = 1'000}};
  base::Gate renewals;
  base::CancelToken stopping;
};

}  // namespace bulkhead::identity
