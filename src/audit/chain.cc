#include "audit/chain.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "base/json.h"

namespace bulkhead::audit {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

constexpr std::string_view kSegmentPrefix = "audit-";
constexpr std::string_view kSegmentSuffix = ".jsonl";
constexpr std::size_t kSegmentDigits = 12;
constexpr std::size_t kHashDigits = 64;

// What is signed: length-prefixed parts under a context string, so no field can bleed into another.
crypto::Digest checkpoint_digest(const Checkpoint& checkpoint) {
  std::string seq = std::to_string(checkpoint.seq);
  return crypto::sha256_parts({base::as_bytes("bulkhead.audit.checkpoint/1"),
                               base::as_bytes(checkpoint.origin), base::as_bytes(seq),
                               base::ByteView(checkpoint.hash), base::as_bytes(checkpoint.time)});
}

std::optional<crypto::Digest> parse_hash(std::string_view hex) {
  if (hex.size() != kHashDigits) return std::nullopt;
  auto bytes = base::hex_decode(hex);
  if (!bytes) return std::nullopt;
  crypto::Digest digest;
  std::memcpy(digest.data(), bytes->data(), digest.size());
  return digest;
}

Error corrupt(std::string what) { return Error(AuditError::Corrupt, std::move(what)); }

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

}  // namespace

void append_line(std::string& out, std::uint64_t seq, const crypto::Digest& prev, std::string_view members) {
  out += "{\"seq\":";
  out += std::to_string(seq);
  out += ",\"prev\":\"";
  out += base::hex_encode(prev);
  out += "\",";
  out += members;
  out += '}';
}

std::string make_line(std::uint64_t seq, const crypto::Digest& prev, std::string_view members) {
  std::string line;
  line.reserve(members.size() + kLineFrameBytes);
  append_line(line, seq, prev, members);
  return line;
}

crypto::Digest line_hash(std::string_view line) { return crypto::sha256(line); }

std::string sign_checkpoint(const Checkpoint& checkpoint, const crypto::SigningKey& key) {
  crypto::SignatureBytes signature = key.sign(base::ByteView(checkpoint_digest(checkpoint)));
  json::Writer w;
  w.begin_object()
      .member("origin", checkpoint.origin)
      .member("seq", checkpoint.seq)
      .member("hash", base::hex_encode(checkpoint.hash))
      .member("time", checkpoint.time)
      .member("key", key.verify_key().id())
      .member("sig", base::base64url_encode(signature))
      .end_object();
  return w.take();
}

Result<Checkpoint> read_checkpoint(std::string_view text, const crypto::VerifyKey& key) {
  auto document = json::Document::parse(text);
  if (!document) return corrupt("The checkpoint is not JSON.");
  json::Value root = document->root();
  auto origin = root["origin"].as_string();
  auto seq = root["seq"].as_int();
  auto hash = parse_hash(root["hash"].as_string().value_or(""));
  auto time = root["time"].as_string();
  auto signature = base::base64url_decode(root["sig"].as_string().value_or(""));
  if (!origin || !seq || *seq < 0 || !hash || !time || !signature) {
    return corrupt("The checkpoint is incomplete.");
  }
  Checkpoint checkpoint{std::string(*origin), static_cast<std::uint64_t>(*seq), *hash, std::string(*time)};
  crypto::Digest digest = checkpoint_digest(checkpoint);
  if (!key.verify(base::ByteView(digest), *signature)) {
    return corrupt(
        "The checkpoint's signature does not fit the audit key: it was altered, or "
        "another deployment signed it.");
  }
  return checkpoint;
}

std::string segment_name(std::uint64_t first_seq) {
  char name[64];
  std::snprintf(name, sizeof name, "audit-%012llu.jsonl", static_cast<unsigned long long>(first_seq));
  return name;
}

Result<std::vector<Segment>> list_segments(const std::filesystem::path& dir) {
  std::vector<Segment> segments;
  std::error_code failed;
  std::filesystem::directory_iterator entries(dir, failed);
  if (failed) {
    return Error(AuditError::Io, "The audit folder can't be read: " + failed.message(), dir.string());
  }
  for (const auto& entry : entries) {
    std::string name = entry.path().filename().string();
    std::string_view digits = name;
    if (!take(digits, kSegmentPrefix) || !digits.ends_with(kSegmentSuffix)) continue;
    digits.remove_suffix(kSegmentSuffix.size());
    std::uint64_t first = 0;
    auto [end, bad] = std::from_chars(digits.data(), digits.data() + digits.size(), first);
    if (bad != std::errc() || end != digits.data() + digits.size() || digits.size() < kSegmentDigits) {
      continue;
    }
    segments.push_back({entry.path(), first});
  }
  std::sort(segments.begin(), segments.end(),
            [](const Segment& a, const Segment& b) { return a.first_seq < b.first_seq; });
  return segments;
}

std::optional<LineFront> read_front(std::string_view line) {
  LineFront front;
  if (!take(line, "{\"seq\":")) return std::nullopt;
  auto [end, failed] = std::from_chars(line.data(), line.data() + line.size(), front.seq);
  if (failed != std::errc()) return std::nullopt;
  line.remove_prefix(static_cast<std::size_t>(end - line.data()));
  if (!take(line, ",\"prev\":\"") || line.size() < kHashDigits) return std::nullopt;
  auto hash = parse_hash(line.substr(0, kHashDigits));
  if (!hash) return std::nullopt;
  front.prev = *hash;
  line.remove_prefix(kHashDigits);
  if (!line.starts_with("\",") || !line.ends_with('}')) return std::nullopt;
  return front;
}

}  // namespace bulkhead::audit
