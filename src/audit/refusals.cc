#include "audit/refusals.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace bulkhead::audit {

namespace {

// Ids and names hold no newline, so no two kinds read alike.
std::string kind_of(const Record& refusal) {
  std::string kind;
  for (const std::string* part : {&refusal.principal, &refusal.credential, &refusal.credential_id,
                                  &refusal.address, &refusal.route, &refusal.reason}) {
    kind += *part;
    kind += '\n';
  }
  return kind + std::to_string(refusal.status);
}

// What stands for all of a kind: nothing of the single request.
Record sample_of(const Record& refusal) {
  Record sample;
  sample.tenant = refusal.tenant;
  sample.principal = refusal.principal;
  sample.credential = refusal.credential;
  sample.credential_id = refusal.credential_id;
  sample.address = refusal.address;
  sample.action = refusal.action;
  sample.decision = refusal.decision;
  sample.reason = refusal.reason;
  sample.route = refusal.route;
  sample.status = refusal.status;
  return sample;
}

Record shared_sample(const Record& refusal) {
  Record sample;
  sample.tenant = refusal.tenant;
  sample.credential = refusal.credential;
  sample.decision = refusal.decision;
  sample.note = "of further kinds";
  return sample;
}

}  // namespace

RefusalBook::RefusalBook(Log& log, const base::Clock& clock, Options options)
    : log_(log), clock_(clock), options_(options) {}

std::pair<RefusalBook::Entry*, bool> RefusalBook::find_or_open(const Record& refusal) {
  Kinds& kinds = tenants_[refusal.tenant];
  const base::MonotonicTime now = clock_.monotonic();
  std::string kind = kind_of(refusal);
  if (auto found = kinds.find(kind); found != kinds.end()) return {&found->second, false};
  const bool shared = kinds.size() >= options_.kinds_max;
  if (shared) kind.clear();
  auto [at, opened] = kinds.try_emplace(std::move(kind));
  if (opened) {
    at->second.sample = shared ? shared_sample(refusal) : sample_of(refusal);
    at->second.opened = now;
  }
  return {&at->second, opened && !shared};
}

void RefusalBook::count(Entry& entry, base::WallTime when) {
  if (entry.counted++ == 0) entry.first = when;
  entry.last = when;
}

void RefusalBook::count(const Record& refusal) {
  std::lock_guard lock(mutex_);
  count(*find_or_open(refusal).first, refusal.time);
}

std::optional<Log::Ticket> RefusalBook::add(const Record& refusal) {
  if (options_.window.count() == 0) return log_.append(refusal);
  std::int64_t unused = 0;
  const bool room = !takes_from_share(refusal) || log_.admit(refusal.tenant, unused);
  std::lock_guard lock(mutex_);
  auto [entry, opened] = find_or_open(refusal);
  if (opened && room) return log_.append(refusal);
  count(*entry, refusal.time);
  return std::nullopt;
}

void RefusalBook::close_windows() { close(false); }
void RefusalBook::close_all() { close(true); }

void RefusalBook::close(bool all) {
  struct Counted {
    std::string tenant, kind;
    Entry entry;
    std::optional<Log::Ticket> ticket;
  };
  std::vector<Counted> ended;
  {
    std::lock_guard lock(mutex_);
    const base::MonotonicTime now = clock_.monotonic();
    for (auto& [tenant, kinds] : tenants_) {
      for (auto at = kinds.begin(); at != kinds.end();) {
        if (!all && now - at->second.opened < options_.window) {
          ++at;
          continue;
        }
        if (at->second.counted > 0) ended.push_back({tenant, at->first, std::move(at->second), {}});
        at = kinds.erase(at);
      }
    }
    std::erase_if(tenants_, [](const auto& entry) { return entry.second.empty(); });
  }
  for (Counted& each : ended) {
    Record record = each.entry.sample;
    record.time = clock_.wall();
    record.event = Event::RefusalsCounted;
    record.count = each.entry.counted;
    record.first_time = each.entry.first;
    record.last_time = each.entry.last;
    // On a full disk counts wait where they are, and take of the reserve only what a stop leaves no time for.
    record.concludes = all;
    each.ticket = log_.append(record);
  }
  for (Counted& each : ended) {
    if (each.ticket->wait()) continue;
    // The log took it not: it goes on being counted.
    std::lock_guard lock(mutex_);
    auto [at, gone] = tenants_[each.tenant].try_emplace(each.kind, each.entry);
    if (gone) continue;
    Entry& entry = at->second;
    entry.counted += each.entry.counted;
    entry.first = each.entry.first;
    entry.last = std::max(entry.last, each.entry.last);
  }
}

}  // namespace bulkhead::audit
