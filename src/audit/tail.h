// What a log finds of itself when it is opened: where the chain ends, whether it holds the heads that were
// signed for it, and which changes were begun and never concluded. Blocking; called once, before the writer
// runs.
#pragma once

#include <cstdint>
#include <filesystem>

#include "audit/log.h"
#include "audit/open_changes.h"

namespace bulkhead::audit {

struct Tail {
  Position position;
  std::filesystem::path segment;
  std::uint64_t segment_bytes = 0;
  bool was_torn = false;
  OpenChanges changes;  // of the newest two segments
};

// Walks the newest segment and checks it against the head file. Errors: Corrupt.
base::Result<Tail> read_tail(const std::filesystem::path& dir, const crypto::VerifyKey& key);

// Whether the log holds every head that was kept elsewhere. Errors: RolledBack, unless `accept_lost_heads`.
base::Result<void> check_kept_heads(const LogOptions& options, const crypto::VerifyKey& key);

}  // namespace bulkhead::audit
