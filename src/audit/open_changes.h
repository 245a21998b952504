// Changes that a log announces (event change_intended) and has not concluded: what `bulkhead audit verify`
// and the next start report as "outcome unknown", because the process ended between the two records.
//
// A change is concluded by any later record with its request_id. Memory is bounded: beyond kOpenChangesMax
// open changes at once, further ones are only counted. Not thread safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "audit/record.h"

namespace bulkhead::audit {

inline constexpr std::size_t kOpenChangesMax = 10'000;

class OpenChanges {
 public:
  struct Change {
    std::uint64_t seq = 0;
    Record record;  // what is known of it: who, which route, which target, what it was to be
  };
  // Takes the log's next line.
  void read(std::string_view line, std::uint64_t seq);
  // In the order of their announcement.
  std::vector<Change> open() const;
  // Changes that the log itself calls unknown (event outcome_unknown), by the seq of that record.
  const std::vector<Change>& unknown() const { return unknown_; }
  // Announcements that came while the table was full.
  std::uint64_t not_followed() const { return not_followed_; }

 private:
  std::map<std::string, Change, std::less<>> open_;  // by request_id
  std::vector<Change> unknown_;
  std::uint64_t not_followed_ = 0;
};

}  // namespace bulkhead::audit
