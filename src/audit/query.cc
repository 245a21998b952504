#include <algorithm>
#include <deque>

#include "audit/chain.h"
#include "audit/segment_reader.h"
#include "audit/verify.h"
#include "base/json.h"

namespace bulkhead::audit {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

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

// Lines of one segment that match; at most `limit`, the newest or the oldest ones.
std::deque<std::string> matching_lines(const Segment& segment, const Query& query, std::size_t limit) {
  std::deque<std::string> kept;
  SegmentReader reader(segment.path);
  while (auto line = reader.next()) {
    auto front = read_front(*line);
    if (!front) continue;
    if (query.after_seq &&
        (query.newest_first ? front->seq >= *query.after_seq : front->seq <= *query.after_seq)) {
      continue;
    }
    auto document = json::Document::parse(*line);
    if (!document || !matches(document->root(), query)) continue;
    bool other = query.redact_tenant_detail && is_tenants_own(document->root());
    kept.push_back(other ? redacted(document->root()) : std::move(*line));
    if (kept.size() > limit) {
      if (query.newest_first)
        kept.pop_front();
      else
        kept.pop_back();
    }
    if (!query.newest_first && kept.size() == limit) break;
  }
  return kept;
}

}  // namespace

Result<std::vector<std::string>> query(const std::filesystem::path& dir, const Query& query) {
  BULKHEAD_CHECK_OK(check(query));
  BULKHEAD_TRY(segments, list_segments(dir));
  if (query.newest_first) std::reverse(segments.begin(), segments.end());
  std::vector<std::string> lines;
  for (const Segment& segment : segments) {
    std::deque<std::string> found = matching_lines(segment, query, query.limit - lines.size());
    if (query.newest_first) std::reverse(found.begin(), found.end());
    for (std::string& line : found) lines.push_back(std::move(line));
    if (lines.size() >= query.limit) break;
  }
  return lines;
}

}  // namespace bulkhead::audit
