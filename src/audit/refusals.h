// RefusalBook: refusals on record without letting whoever is refused write the log.
//
// The first refusal of a kind in a window is a record of its own. Further ones of the same kind (tenant,
// principal, credential, address, route, reason, status) are counted, and when the window closes one record,
// refusals_counted, says how many there were and when the first and the last one came. A refusal that could
// not be recorded (the log fails, or the tenant has used its share) is counted too: none is lost but by a
// crash inside of its window. Kinds beyond `kinds_max` of a tenant (or of strangers, who have none) share one
// count that names neither principal nor route; so memory and records are bounded per tenant and window.
//
// The owner calls `close_windows` now and then, and `close_all` before the log closes. Thread safety: all
// members from every thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "audit/log.h"
#include "base/clock.h"

namespace bulkhead::audit {

class RefusalBook {
 public:
  struct Options {
    std::chrono::seconds window{60};  // 0: each refusal is a record of its own
    std::size_t kinds_max = 256;
  };
  RefusalBook(Log& log, const base::Clock& clock, Options options);

  // The first of its kind: the ticket of its record, to be awaited before the answer; whoever sees it fail
  // calls `count`. Nothing: it was counted.
  std::optional<Log::Ticket> add(const Record& refusal);
  // Counts a refusal that has no record.
  void count(const Record& refusal);

  // Writes the counts of the windows that have ended; what the log does not take stays for the next call.
  // Blocks until they are on disk.
  void close_windows();
  void close_all();

 private:
  struct Entry {
    Record sample;  // what all of the kind have in common
    base::MonotonicTime opened{};
    std::int64_t counted = 0;
    base::WallTime first{}, last{};
  };
  using Kinds = std::map<std::string, Entry>;  // by kind; the one that several share under ""

  // The entry, and whether it was opened by this call.
  std::pair<Entry*, bool> find_or_open(const Record& refusal);
  static void count(Entry& entry, base::WallTime when);
  void close(bool all);

  Log& log_;
  const base::Clock& clock_;
  const Options options_;
  std::mutex mutex_;
  std::map<std::string, Kinds> tenants_;
};

}  // namespace bulkhead::audit
