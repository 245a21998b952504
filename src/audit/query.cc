#include "audit/query.h"

#include <algorithm>

namespace bulkhead::audit {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

constexpr std::uint64_t kBlockBytes = 256 << 10;

// What an operator sees of a tenant's records: that something happened, when, how it was decided.
constexpr std::string_view kOperatorMembers[] = {
    "seq",           "time",       "event",  "tenant",   "action",        "decision",
    "reason",        "route",      "status", "model",    "prompt_tokens", "completion_tokens",
    "finish_reason", "latency_us", "burned", "intended", "count",         "first_time",
    "last_time"};

bool is_time(const std::string& text) {
  // 2026-03-01T… : RFC 3339 in UTC compares as text.
  return text.size() >= 10 && text.size() <= 32 && text[4] == '-' && text[7] == '-';
}

Result<void> check(const Query& query) {
  if (query.limit < 1 || query.limit > 1000) {
    return Error(AuditError::BadQuery, "'limit' must be from 1 to 1000.").with_parameter("limit");
  }
  for (const auto& [name, time] : {std::pair{"since", query.since}, std::pair{"until", query.until}}) {
    if (time && !is_time(*time)) {
      return Error(AuditError::BadQuery,
                   std::string("'") + name + "' must be a UTC time like 2026-03-01T00:00:00Z.")
          .with_parameter(name);
    }
  }
  return Result<void>();
}

bool matches(const json::Value& root, const Query& query) {
  auto member = [&root](std::string_view name) { return root[name].as_string().value_or(""); };
  auto fits = [&](std::string_view name, const std::optional<std::string>& wanted) {
    return !wanted || member(name) == *wanted;
  };
  if (!query.all_tenants && member("tenant") != query.tenant) return false;
  if (root["checkpoint"].exists()) return false;
  if (query.since && member("time") < *query.since) return false;
  if (query.until && member("time") >= *query.until) return false;
  return fits("event", query.event) && fits("request_id", query.request_id) &&
         fits("decision", query.decision) && fits("principal", query.principal);
}

// What an operator did to a tenant is the operator's to read as it stands.
bool is_tenants_own(const json::Value& root) {
  return root["tenant"].exists() && root["principal"].as_string().value_or("") != "operator";
}

std::string redacted(const json::Value& root) {
  json::Writer w;
  w.begin_object();
  for (std::string_view name : kOperatorMembers) {
    if (json::Value value = root[name]; value.exists()) w.key(name).copy(value);
  }
  w.end_object();
  return w.take();
}

// Members that stand in a line word for word when it fits.
std::vector<std::string> needles_of(const Query& query) {
  std::vector<std::string> needles;
  const auto add = [&](std::string_view name, const std::string& value) {
    needles.push_back("\"" + std::string(name) + "\":" + json::quote(value));
  };
  if (!query.all_tenants && !query.tenant.empty()) add("tenant", query.tenant);
  if (query.event) add("event", *query.event);
  if (query.request_id) add("request_id", *query.request_id);
  if (query.decision) add("decision", *query.decision);
  if (query.principal) add("principal", *query.principal);
  return needles;
}

}  // namespace

QueryRun::QueryRun(Query query, std::vector<Segment> segments)
    : query_(std::move(query)), needles_(needles_of(query_)), segments_(std::move(segments)) {
  scanned_ = query_.after_seq;
  enter_segment();
}

Result<QueryRun> QueryRun::begin(const std::filesystem::path& dir, Query query) {
  BULKHEAD_CHECK_OK(check(query));
  BULKHEAD_TRY(segments, list_segments(dir));
  // A segment's numbers end before the next one's begin: those that lie beyond where the question goes on are
  // not read again.
  if (query.after_seq && query.newest_first) {
    std::erase_if(segments, [&](const Segment& each) { return each.first_seq >= *query.after_seq; });
  } else if (query.after_seq) {
    const auto holder =
        std::upper_bound(segments.begin(), segments.end(), *query.after_seq + 1,
                         [](std::uint64_t seq, const Segment& each) { return seq < each.first_seq; });
    if (holder != segments.begin()) segments.erase(segments.begin(), std::prev(holder));
  }
  if (query.newest_first) std::reverse(segments.begin(), segments.end());
  return QueryRun(std::move(query), std::move(segments));
}

void QueryRun::enter_segment() {
  unseen_.clear();
  at_tail_ = true;
  in_ = std::ifstream();
  begin_ = end_ = 0;
  if (whole()) return;
  const std::filesystem::path& path = segments_[segment_].path;
  std::error_code gone;
  const std::uintmax_t size = std::filesystem::file_size(path, gone);
  in_.open(path, std::ios::binary);
  if (!gone && in_.is_open()) end_ = size;
}

void QueryRun::leave_segment() {
  ++segment_;
  enter_segment();
}

bool QueryRun::advance(std::uint64_t bytes) {
  for (std::uint64_t read = 0; read < bytes && !full() && !whole();) {
    if (begin_ == end_) {
      leave_segment();
      continue;
    }
    read += read_block();
    look_at_block();
  }
  // So that an end is told at once, and not by another call.
  while (!full() && !whole() && begin_ == end_) leave_segment();
  return full() || whole();
}

// Lays the next block of the segment beside what is unseen.
std::uint64_t QueryRun::read_block() {
  const std::uint64_t size = std::min<std::uint64_t>(kBlockBytes, end_ - begin_);
  const std::uint64_t from = query_.newest_first ? end_ - size : begin_;
  std::string block(size, '\0');
  in_.seekg(static_cast<std::streamoff>(from));
  in_.read(block.data(), static_cast<std::streamsize>(size));
  if (static_cast<std::uint64_t>(in_.gcount()) != size) {
    // Cut off meanwhile: what isn't there has not been written.
    begin_ = end_;
    return size;
  }
  if (query_.newest_first) {
    end_ = from;
    unseen_.insert(0, block);
  } else {
    begin_ = from + size;
    unseen_ += block;
  }
  bytes_read_ += size;
  return size;
}

void QueryRun::look_at_block() {
  if (query_.newest_first) {
    look_backwards();
  } else {
    look_forwards();
  }
  // No line is as long: the segment is damaged, which `verify` tells.
  if (unseen_.size() > kLineBytesMax + kBlockBytes) begin_ = end_;
}

void QueryRun::look_backwards() {
  if (at_tail_) {
    // What has no end yet is being written, or was cut off by a crash.
    const std::size_t last_end = unseen_.rfind('\n');
    if (last_end == std::string::npos) return;
    unseen_.resize(last_end + 1);
    at_tail_ = false;
  }
  while (!unseen_.empty() && !full()) {
    const std::size_t before =
        unseen_.size() < 2 ? std::string::npos : unseen_.rfind('\n', unseen_.size() - 2);
    if (before == std::string::npos && begin_ != end_) return;
    const std::size_t from = before == std::string::npos ? 0 : before + 1;
    look_at(std::string_view(unseen_).substr(from, unseen_.size() - from - 1));
    unseen_.resize(from);
  }
}

void QueryRun::look_forwards() {
  std::size_t from = 0;
  while (!full()) {
    const std::size_t end = unseen_.find('\n', from);
    if (end == std::string::npos) break;
    look_at(std::string_view(unseen_).substr(from, end - from));
    from = end + 1;
  }
  unseen_.erase(0, from);
}

void QueryRun::look_at(std::string_view line) {
  const auto front = read_front(line);
  if (!front) return;
  if (query_.after_seq &&
      (query_.newest_first ? front->seq >= *query_.after_seq : front->seq <= *query_.after_seq)) {
    return;
  }
  scanned_ = front->seq;
  for (const std::string& needle : needles_) {
    if (line.find(needle) == std::string_view::npos) return;
  }
  auto document = json::Document::parse(line);
  if (!document || !matches(document->root(), query_)) return;
  const bool other = query_.redact_tenant_detail && is_tenants_own(document->root());
  lines_.push_back(other ? redacted(document->root()) : std::string(line));
}

Result<std::vector<std::string>> query(const std::filesystem::path& dir, const Query& query) {
  BULKHEAD_TRY(run, QueryRun::begin(dir, query));
  while (!run.advance(kBlockBytes)) continue;
  return run.take_lines();
}

}  // namespace bulkhead::audit
