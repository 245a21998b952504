#include "audit/verify.h"

#include <map>

#include "audit/chain.h"
#include "audit/open_changes.h"
#include "audit/segment_reader.h"
#include "base/file.h"
#include "base/json.h"

namespace bulkhead::audit {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kFindingsMax = 100;
constexpr std::size_t kHeadBytesMax = 16 << 10;

class Verifier {
 public:
  Verifier(const crypto::VerifyKey& key, VerifyReport& report) : key_(key), report_(report) {}

  // An outside statement that line `seq` has this hash.
  void expect(const Checkpoint& anchor, std::string source) {
    if (anchor.seq == 0) return;  // of a log that had no line yet
    expected_.emplace(anchor.seq, Expected{anchor.hash, std::move(source)});
  }

  void read(const Segment& segment) {
    file_ = segment.path.filename().string();
    line_number_ = 0;
    if (report_.records > 0 && segment.first_seq != next_seq_) {
      find(segment.first_seq < next_seq_ ? "segments overlap" : "a segment is missing before this one");
    }
    SegmentReader reader(segment.path);
    while (auto line = reader.next()) {
      ++line_number_;
      if (line_number_ == 1 && report_.records == 0) start(segment);
      read_line(*line);
    }
    if (reader.too_long()) find("a line is longer than any that the log writes");
    if (reader.torn()) find("the last line is cut short");
  }

  void finish() {
    for (const auto& [seq, expected] : expected_) {
      if (expected.met) continue;
      file_ = "";
      line_number_ = 0;
      seq_ = seq;
      find("the log ends before line " + std::to_string(seq) + ", which " + expected.source +
           " states: its end was cut off, or it was rolled back");
    }
    if (report_.records > 0) report_.last_seq = next_seq_ - 1;
    report_.head = prev_;
    for (const auto& list : {changes_.unknown(), changes_.open()}) {
      for (const OpenChanges::Change& each : list) {
        report_.unknown_outcomes.push_back(
            {each.seq, each.record.request_id, each.record.intended, each.record.tenant, each.record.target});
      }
    }
    report_.ok = report_.findings.empty();
  }

 private:
  struct Expected {
    crypto::Digest hash;
    std::string source;
    bool met = false;
  };

  void start(const Segment& segment) {
    next_seq_ = segment.first_seq;
    report_.first_seq = segment.first_seq;
    if (segment.first_seq != 1)
      find("the log does not begin with its first line: older segments are missing");
  }

  void find(std::string what) {
    if (report_.findings.size() < kFindingsMax) {
      report_.findings.push_back({file_, line_number_, seq_, std::move(what)});
    }
  }

  void read_line(const std::string& line) {
    ++report_.records;
    auto front = read_front(line);
    seq_ = front ? front->seq : next_seq_;
    if (!front) {
      find("not a line of this log: it was altered");
    } else {
      if (front->seq != next_seq_) {
        find("sequence jumps from " + std::to_string(next_seq_ - 1) + " to " + std::to_string(front->seq) +
             ": lines were removed, added or moved");
        next_seq_ = front->seq;
      }
      if (front->prev != prev_ && (report_.records > 1 || front->seq == 1)) {
        find("hash chain broken: the line before was altered, or lines were removed or moved");
      }
    }
    changes_.read(line, next_seq_);
    prev_ = line_hash(line);
    check_expected(next_seq_);
    if (line.find(",\"checkpoint\":{") != std::string::npos) read_checkpoint_line(line);
    before_ = prev_;
    ++next_seq_;
  }

  void check_expected(std::uint64_t seq) {
    auto [first, last] = expected_.equal_range(seq);
    for (auto it = first; it != last; ++it) {
      it->second.met = true;
      if (it->second.hash != prev_) {
        find("differs from what " + it->second.source + " states: the log was rewritten");
      }
    }
  }

  // A checkpoint in the log covers the line before it.
  void read_checkpoint_line(const std::string& line) {
    auto document = json::Document::parse(line);
    if (!document) return find("not valid JSON");
    json::Value value = document->root()["checkpoint"];
    if (!value.is_object()) return;
    json::Writer copy;
    copy.copy(value);
    auto checkpoint = read_checkpoint(copy.text(), key_);
    ++report_.checkpoints;
    if (!checkpoint) return find(checkpoint.error().message());
    if (checkpoint->seq + 1 != next_seq_ || checkpoint->hash != before_) {
      find("this signed checkpoint does not fit the lines before it: the log was rewritten");
    }
  }

  const crypto::VerifyKey& key_;
  VerifyReport& report_;
  std::multimap<std::uint64_t, Expected> expected_;
  OpenChanges changes_;
  std::string file_;
  std::uint64_t line_number_ = 0, seq_ = 0, next_seq_ = 1;
  crypto::Digest prev_{}, before_{};
};

}  // namespace

Result<VerifyReport> verify(const std::filesystem::path& dir, const crypto::VerifyKey& key,
                            const std::vector<std::string>& anchors) {
  BULKHEAD_TRY(segments, list_segments(dir));
  VerifyReport report;
  Verifier verifier(key, report);
  auto add_anchor = [&](std::string_view text, const std::string& source) -> Result<void> {
    auto checkpoint = read_checkpoint(text, key);
    if (!checkpoint) {
      return Error(AuditError::Corrupt, source + ": " + checkpoint.error().message());
    }
    verifier.expect(*checkpoint, source);
    return Result<void>();
  };
  auto head = base::read_file(dir / kHeadFile, kHeadBytesMax);
  if (head) {
    BULKHEAD_CHECK_OK(add_anchor(*head, std::string(kHeadFile)));
  } else {
    report.findings.push_back(
        {std::string(kHeadFile), 0, 0,
         segments.empty() ? "there is no log here: the folder was emptied, or it is not a log's"
                          : "the head file is missing: it was removed, and a cut at the log's end could "
                            "not be seen"});
  }
  for (const std::string& anchor : anchors) BULKHEAD_CHECK_OK(add_anchor(anchor, "an anchor"));
  for (const Segment& segment : segments) verifier.read(segment);
  verifier.finish();
  return report;
}

}  // namespace bulkhead::audit
