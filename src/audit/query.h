// Reading the audit log without a running gateway and without a secret: all lines that fit a question, a
// slice of the log at a time.
//
// The log holds all tenants' records and has no index, so a question may have to read all of it. Whoever
// serves several readers asks for one slice after the other and lets others have their turn in between, and
// ends at a bound of its own: `scanned_seq` says from where another question goes on. Lines are looked at as
// text first, and parsed only when they may fit.
//
// Errors: AuditError. Thread safety: a run is one thread's at a time, not always the same one's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "audit/chain.h"
#include "base/json.h"
#include "base/result.h"

namespace bulkhead::audit {

struct Query {
  std::string tenant;                 // required for a tenant's reader; empty: platform's own only
  bool all_tenants = false;           // counts for operators: see `redact_tenant_detail`
  bool redact_tenant_detail = false;  // operator: no principal, no hashes, no ids of tenants
  std::optional<std::string> event, request_id, decision, principal;
  std::optional<std::string> since, until;  // RFC 3339
  std::size_t limit = 100;                  // 1..1000
  std::optional<std::uint64_t> after_seq;
  bool newest_first = true;
};

class QueryRun {
 public:
  static base::Result<QueryRun> begin(const std::filesystem::path& dir, Query query);

  // Reads at least one block of the log, and on until `bytes` were read in this call. True: it is over,
  // because the limit is reached or all of the log was read.
  bool advance(std::uint64_t bytes);

  // Found so far: as stored, or redacted.
  const std::vector<std::string>& lines() const { return lines_; }
  std::vector<std::string> take_lines() { return std::move(lines_); }
  // All of the log was looked at.
  bool whole() const { return segment_ == segments_.size(); }
  // The last line that was looked at, or the one that the question begins after: `after_seq` of a question
  // that goes on. Nothing while there is neither.
  std::optional<std::uint64_t> scanned_seq() const { return scanned_; }
  std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  QueryRun(Query query, std::vector<Segment> segments);
  void enter_segment();
  void leave_segment();
  bool full() const { return lines_.size() >= query_.limit; }
  std::uint64_t read_block();
  void look_at_block();
  void look_backwards();
  void look_forwards();
  void look_at(std::string_view line);

  Query query_;
  std::vector<std::string> needles_;  // what stands in every line that fits
  std::vector<Segment> segments_;     // in the order of reading
  std::size_t segment_ = 0;
  std::ifstream in_;
  std::uint64_t begin_ = 0, end_ = 0;  // of what of the segment is unread
  std::string unseen_;                 // read, but not looked at: the rest of a line
  bool at_tail_ = false;               // nothing of the segment was looked at yet
  std::vector<std::string> lines_;
  std::optional<std::uint64_t> scanned_;
  std::uint64_t bytes_read_ = 0;
};

// A whole run at once, for whoever is alone. Bounded memory.
base::Result<std::vector<std::string>> query(const std::filesystem::path& dir, const Query& query);

}  // namespace bulkhead::audit
