// The form of the log's lines, shared by writer, verifier and query. docs/audit-format.md.
//
//   {"seq":7,"prev":"<64 hex>","time":…,…}                 a record
//   {"seq":8,"prev":"<64 hex>","checkpoint":{…,"sig":"…"}} a signed checkpoint
//
// hash(line n) = SHA-256 of the line's bytes without its newline; "prev" of line n + 1 is that hash,
// so each line fixes all before it. The first line's prev is 64 zeros.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/log.h"
#include "crypto/hash.h"
#include "crypto/signature.h"

namespace bulkhead::audit {

inline constexpr std::size_t kLineBytesMax = 256 << 10;
inline constexpr std::string_view kHeadFile = "audit-head.json";
inline constexpr std::string_view kKeyFile = "audit-key.pub";

// `members` are the record's JSON members without braces.
// The line without its end goes behind `out`, in at most kLineFrameBytes more than `members` has.
inline constexpr std::size_t kLineFrameBytes = 128;
void append_line(std::string& out, std::uint64_t seq, const crypto::Digest& prev, std::string_view members);
std::string make_line(std::uint64_t seq, const crypto::Digest& prev, std::string_view members);
crypto::Digest line_hash(std::string_view line);

struct Checkpoint {
  std::string origin;
  std::uint64_t seq = 0;  // of the last line that it covers
  crypto::Digest hash{};  // of that line
  std::string time;
};
// One line of JSON, signed: the form of audit-head.json, of witness copies and of anchors.
std::string sign_checkpoint(const Checkpoint& checkpoint, const crypto::SigningKey& key);
// Checks the signature. Errors: Corrupt.
base::Result<Checkpoint> read_checkpoint(std::string_view json, const crypto::VerifyKey& key);

// Segment files of `dir` in order of their first sequence number.
struct Segment {
  std::filesystem::path path;
  std::uint64_t first_seq = 0;
};
base::Result<std::vector<Segment>> list_segments(const std::filesystem::path& dir);
std::string segment_name(std::uint64_t first_seq);

// The line's own seq and prev, read strictly from its front (they always stand first).
struct LineFront {
  std::uint64_t seq = 0;
  crypto::Digest prev{};
};
std::optional<LineFront> read_front(std::string_view line);

}  // namespace bulkhead::audit
