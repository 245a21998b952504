#include "audit/tail.h"

#include <optional>

#include "audit/chain.h"
#include "audit/segment_reader.h"
#include "base/file.h"
#include "base/log.h"

namespace bulkhead::audit {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kHeadBytesMax = 16 << 10;

Error altered(const std::filesystem::path& segment, std::uint64_t seq) {
  return Error(AuditError::Corrupt, "The audit log was altered at line " + std::to_string(seq) + " of " +
                                        segment.filename().string() +
                                        ". Keep it as evidence, run `bulkhead audit verify`, and point "
                                        "audit.dir at a new folder.");
}

// Walks one segment along the chain and sees whether `head` is met on the way.
Result<void> walk(const Segment& segment, const std::optional<Checkpoint>& head, Tail& tail, bool& head_met) {
  tail.position = {segment.first_seq - 1, {}};
  SegmentReader reader(segment.path);
  bool first = true;
  while (auto line = reader.next()) {
    auto front = read_front(*line);
    if (front) tail.changes.read(*line, front->seq);
    bool chained =
        front && front->seq == tail.position.seq + 1 && (first || front->prev == tail.position.hash);
    if (!chained) return altered(segment.path, tail.position.seq + 1);
    // The head may lie in an older segment; then the chain to it is `verify`'s to check.
    if (first && head && head->seq < front->seq) head_met = true;
    first = false;
    tail.position = {front->seq, line_hash(*line)};
    if (head && head->seq == front->seq) {
      head_met = head->hash == tail.position.hash;
      if (!head_met) return Result<void>();
    }
  }
  if (reader.too_long()) return altered(segment.path, tail.position.seq + 1);
  tail.was_torn = reader.torn();
  tail.segment_bytes = reader.whole_bytes();
  return Result<void>();
}

// A change may have been announced at the end of one segment and concluded at the beginning of the next.
void read_changes(const Segment& segment, OpenChanges& changes) {
  SegmentReader reader(segment.path);
  while (auto line = reader.next()) {
    if (auto front = read_front(*line)) changes.read(*line, front->seq);
  }
}

}  // namespace

Result<Tail> read_tail(const std::filesystem::path& dir, const crypto::VerifyKey& key) {
  BULKHEAD_TRY(segments, list_segments(dir));
  std::optional<Checkpoint> head;
  if (auto text = base::read_file(dir / kHeadFile, kHeadBytesMax)) {
    BULKHEAD_TRY(checkpoint, read_checkpoint(*text, key));
    head = std::move(checkpoint);
  }
  Tail tail;
  // The head is signed before the first line is written (seq 0), so no crash leaves a log without.
  if (!head && !segments.empty()) {
    return Error(AuditError::Corrupt,
                 "The audit log's signed head, " + std::string(kHeadFile) +
                     ", is missing: whether lines were cut off can't be told without it. Put it back from "
                     "the witness folder or a backup, or keep the log as evidence and point audit.dir at "
                     "a new folder.");
  }
  bool head_met = !head || head->seq == 0;
  if (!segments.empty()) {
    tail.segment = segments.back().path;
    if (segments.size() > 1) read_changes(segments[segments.size() - 2], tail.changes);
    BULKHEAD_CHECK_OK(walk(segments.back(), head, tail, head_met));
    if (tail.segment_bytes == 0 && segments.size() > 1) {
      // Nothing was written since the last rotation: the chain goes on from the segment before.
      const Segment& before = segments[segments.size() - 2];
      Tail older;
      BULKHEAD_CHECK_OK(walk(before, head, older, head_met));
      // A whole segment is only ever followed by the next number, and never torn.
      if (older.was_torn || older.position.seq + 1 != segments.back().first_seq) {
        return altered(before.path, older.position.seq + 1);
      }
      tail.position = older.position;
    }
  }
  if (!head_met) {
    return Error(AuditError::Corrupt,
                 "The audit log ends before, or differs from, its signed head (line " +
                     std::to_string(head->seq) +
                     "): records were cut or rewritten. Keep it as "
                     "evidence, run `bulkhead audit verify`, and point audit.dir at a new folder.");
  }
  return tail;
}

namespace {

// The log must hold what a head kept elsewhere states: a log that was put back to an older state together
// with its own head file is whole in itself, and only this shows it.
Result<void> check_kept_head(const std::filesystem::path& dir, const crypto::VerifyKey& key,
                             const LogOptions::KeptHead& kept) {
  BULKHEAD_TRY(head, read_checkpoint(kept.json, key));
  BULKHEAD_TRY(segments, list_segments(dir));
  const Segment* holder = nullptr;
  for (const Segment& segment : segments) {
    if (segment.first_seq <= head.seq) holder = &segment;
  }
  if (holder) {
    SegmentReader reader(holder->path);
    while (auto line = reader.next()) {
      auto front = read_front(*line);
      if (!front || front->seq > head.seq) break;
      if (front->seq == head.seq && line_hash(*line) == head.hash) return Result<void>();
    }
  }
  return Error(
      AuditError::RolledBack,
      "The audit log does not hold line " + std::to_string(head.seq) + " of " + head.time + ", which " +
          kept.where +
          " states: it was cut, rewritten, put back to an older state or exchanged. Keep it as evidence and "
          "run `bulkhead audit verify`. When you know why (a new audit.dir, a restored backup), "
          "`bulkhead audit accept` lets the gateway start again and records that.",
      dir.string());
}

}  // namespace

Result<void> check_kept_heads(const LogOptions& options, const crypto::VerifyKey& key) {
  std::vector<LogOptions::KeptHead> heads = options.kept_heads;
  if (!options.witness_dir.empty()) {
    if (auto text = base::read_file(options.witness_dir / kHeadFile, kHeadBytesMax)) {
      heads.push_back({std::move(*text), "the witness copy"});
    }
  }
  for (const LogOptions::KeptHead& kept : heads) {
    auto checked = check_kept_head(options.dir, key, kept);
    if (checked) continue;
    if (!options.accept_lost_heads) return checked;
    base::log::warning("audit_head_given_up", {{"where", std::string_view(kept.where)},
                                               {"message", std::string_view(checked.error().message())}});
  }
  return Result<void>();
}

}  // namespace bulkhead::audit
