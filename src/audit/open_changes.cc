#include "audit/open_changes.h"

#include <algorithm>

#include "base/json.h"

namespace bulkhead::audit {

namespace json = base::json;

namespace {

// A quote inside of a JSON string is escaped, so these stand in a line only as its own members.
constexpr std::string_view kIntended = "\"event\":\"change_intended\"";
constexpr std::string_view kUnknown = "\"event\":\"outcome_unknown\"";
constexpr std::string_view kRequestId = "\"request_id\":\"";

std::string_view request_id_of(std::string_view line) {
  const std::size_t at = line.find(kRequestId);
  if (at == std::string_view::npos) return {};
  line.remove_prefix(at + kRequestId.size());
  return line.substr(0, line.find('"'));
}

Record record_of(std::string_view line) {
  Record record;
  auto document = json::Document::parse(line);
  if (!document) return record;
  auto text = [&](std::string_view name) {
    return std::string(document->root()[name].as_string().value_or(""));
  };
  record.tenant = text("tenant");
  record.principal = text("principal");
  record.credential = text("credential");
  record.credential_id = text("credential_id");
  record.request_id = text("request_id");
  record.action = text("action");
  record.route = text("route");
  record.target = text("target");
  record.intended = text("intended");
  return record;
}

}  // namespace

void OpenChanges::read(std::string_view line, std::uint64_t seq) {
  if (line.find(kIntended) != std::string_view::npos) {
    if (open_.size() >= kOpenChangesMax) {
      ++not_followed_;
      return;
    }
    open_.insert_or_assign(std::string(request_id_of(line)), Change{seq, record_of(line)});
    return;
  }
  if (line.find(kUnknown) != std::string_view::npos && unknown_.size() < kOpenChangesMax) {
    unknown_.push_back({seq, record_of(line)});
  }
  if (open_.empty()) return;
  if (auto found = open_.find(request_id_of(line)); found != open_.end()) open_.erase(found);
}

std::vector<OpenChanges::Change> OpenChanges::open() const {
  std::vector<Change> all;
  all.reserve(open_.size());
  for (const auto& [id, change] : open_) all.push_back(change);
  std::sort(all.begin(), all.end(), [](const Change& a, const Change& b) { return a.seq < b.seq; });
  return all;
}

}  // namespace bulkhead::audit
