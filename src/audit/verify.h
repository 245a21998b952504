// Offline verification of an audit log. No running gateway, no secret: the public key only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "audit/log.h"
#include "crypto/signature.h"

namespace bulkhead::audit {

struct Finding {
  std::string file;        // segment's file name
  std::uint64_t line = 0;  // from 1
  std::uint64_t seq = 0;
  std::string what;  // "hash chain broken: line was altered, or one before it removed"
};

// A change of which the log says that it was about to be made, and not what came of it.
struct UnknownOutcome {
  std::uint64_t seq = 0;  // of its announcement, or of the record that says that its outcome is unknown
  std::string request_id, intended, tenant, target;
};

struct VerifyReport {
  bool ok = false;
  std::uint64_t records = 0, checkpoints = 0, first_seq = 0, last_seq = 0;
  crypto::Digest head{};
  std::vector<Finding> findings;  // the first is where the damage begins
  // Not damage: the process ended in the middle, or the request is under way just now.
  std::vector<UnknownOutcome> unknown_outcomes;
};

// `anchors`: checkpoints kept elsewhere (witness copy, burn receipts, the platform database's), each
// one line of checkpoint JSON; each must lie on this log's chain.
base::Result<VerifyReport> verify(const std::filesystem::path& dir, const crypto::VerifyKey& key,
                                  const std::vector<std::string>& anchors);

}  // namespace bulkhead::audit
