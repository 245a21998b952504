#include "inference/prefix_cache.h"

#include <algorithm>

#include "inference/burn.h"

namespace bulkhead::inference {

using base::BurnReport;

std::size_t common_prefix(const Tokens& a, const Tokens& b) {
  std::size_t shorter = std::min(a.size(), b.size());
  return static_cast<std::size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(shorter), b.begin()).first -
      a.begin());
}

PrefixCache::~PrefixCache() { burn_all(); }

BurnReport PrefixCache::erase(Entry& entry) const {
  BurnReport report = new_burn_report(options_.burn);
  report.prefixes = 1;
  if (!options_.burn) return report;
  report.tokens_erased = entry.tokens.size();
  clear_and_check(entry.state.data(), entry.state.size(), base::Memory::PrefixRows, report);
  clear_and_check(entry.tokens.data(), entry.tokens.size() * sizeof(Token), base::Memory::PrefixRows, report);
  report.rows = all_proven(report) ? base::RowsFate::Zeroed : base::RowsFate::Failed;
  return report;
}

template <typename Chosen>
BurnReport PrefixCache::burn_where(Partition& partition, Chosen chosen) {
  BurnReport sum = new_burn_report(options_.burn);
  for (auto at = partition.kept.begin(); at != partition.kept.end();) {
    if (!chosen(*at)) {
      ++at;
      continue;
    }
    partition.bytes -= at->entry.bytes();
    sum.add(erase(at->entry));
    at = partition.kept.erase(at);
  }
  return sum;
}

template <typename Chosen>
BurnReport PrefixCache::burn_everywhere(Chosen chosen) {
  BurnReport sum = new_burn_report(options_.burn);
  for (auto& [tenant, partition] : partitions_) sum.add(burn_where(partition, chosen));
  std::erase_if(partitions_, [](const auto& partition) { return partition.second.kept.empty(); });
  return sum;
}

std::optional<PrefixCache::Match> PrefixCache::find(const PrefixKey& key, const Tokens& prompt,
                                                    std::size_t common_min, Time now) {
  auto partition = partitions_.find(key.tenant);
  if (partition == partitions_.end()) return std::nullopt;
  std::list<Kept>& kept = partition->second.kept;
  auto best = kept.end();
  std::size_t longest = 0;
  for (auto at = kept.begin(); at != kept.end(); ++at) {
    if (at->key != key || at->entry.used + at->entry.lifetime < now) continue;
    std::size_t common = common_prefix(at->entry.tokens, prompt);
    if (common > longest) {
      longest = common;
      best = at;
    }
  }
  if (best == kept.end() || longest < common_min) return std::nullopt;
  best->entry.used = now;
  kept.splice(kept.end(), kept, best);
  return Match{&best->entry, longest};
}

bool PrefixCache::keep(const PrefixKey& key, Entry entry, Time now) {
  entry.used = now;
  bool known = partitions_.contains(key.tenant);
  if (entry.bytes() > options_.partition_bytes || (!known && partitions_.size() >= options_.partitions)) {
    erase(entry);
    return false;
  }
  Partition& partition = partitions_[key.tenant];
  burn_where(partition, [&](const Kept& old) {
    return old.key == key && common_prefix(old.entry.tokens, entry.tokens) == old.entry.tokens.size();
  });
  while (partition.bytes + entry.bytes() > options_.partition_bytes) {
    const Kept* oldest = &partition.kept.front();
    burn_where(partition, [oldest](const Kept& kept) { return &kept == oldest; });
  }
  partition.bytes += entry.bytes();
  partition.kept.push_back({key, std::move(entry)});
  return true;
}

BurnReport PrefixCache::burn_session(const std::string& tenant, const std::string& session) {
  return burn_everywhere(
      [&](const Kept& kept) { return kept.key.tenant == tenant && kept.key.session == session; });
}

BurnReport PrefixCache::burn_tenant(const std::string& tenant) {
  return burn_everywhere([&](const Kept& kept) { return kept.key.tenant == tenant; });
}

BurnReport PrefixCache::burn_expired(Time now) {
  return burn_everywhere([now](const Kept& kept) { return kept.entry.used + kept.entry.lifetime <= now; });
}

BurnReport PrefixCache::burn_all() {
  return burn_everywhere([](const Kept&) { return true; });
}

std::optional<PrefixCache::Time> PrefixCache::next_expiry() const {
  std::optional<Time> next;
  for (const auto& [tenant, partition] : partitions_) {
    for (const Kept& kept : partition.kept) {
      Time expiry = kept.entry.used + kept.entry.lifetime;
      next = std::min(next.value_or(expiry), expiry);
    }
  }
  return next;
}

std::size_t PrefixCache::entries() const {
  std::size_t sum = 0;
  for (const auto& [tenant, partition] : partitions_) sum += partition.kept.size();
  return sum;
}

std::size_t PrefixCache::bytes() const {
  std::size_t sum = 0;
  for (const auto& [tenant, partition] : partitions_) sum += partition.bytes;
  return sum;
}

}  // namespace bulkhead::inference
