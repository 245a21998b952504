#include "identity/principal_cache.h"

#include <cstring>
#include <iterator>

namespace bulkhead::identity {

std::size_t PrincipalCache::DigestHash::operator()(const crypto::Digest& digest) const {
  std::size_t value;
  std::memcpy(&value, digest.data() + 8, sizeof value);
  return value;
}

namespace {

std::size_t bytes_of(const Principal& principal) {
  std::size_t bytes = 512 + 2 * principal.user().size() + principal.issuer().size();
  for (const auto* list : {&principal.roles(), &principal.groups()}) {
    for (const std::string& name : *list) bytes += sizeof(std::string) + name.size();
  }
  return bytes;
}

}  // namespace

std::list<PrincipalCache::Entry>::iterator PrincipalCache::Shard::erase(std::list<Entry>::iterator entry) {
  bytes -= entry->bytes;
  index.erase(entry->key);
  return recent.erase(entry);
}

PrincipalCache::Found PrincipalCache::find(const crypto::Digest& key, const base::Clock& clock) {
  Shard& shard = shards_[key[0] % kShards];
  std::lock_guard lock(shard.mutex);
  auto found = shard.index.find(key);
  if (found == shard.index.end()) return {};
  const Entry& entry = *found->second;
  const std::int64_t expires = entry.principal->expires_unix_seconds();
  const bool expired = expires != 0 && clock.unix_seconds() >= expires;
  if (expired || (entry.with.key && !entry.with.key->believed(clock.monotonic()))) {
    shard.erase(found->second);
    return {};
  }
  shard.recent.splice(shard.recent.begin(), shard.recent, found->second);
  return {entry.principal, entry.with.issuer};
}

void PrincipalCache::put(const crypto::Digest& key, std::shared_ptr<const Principal> principal,
                         VerifiedWith with, std::uint64_t generation) {
  const std::size_t bytes = bytes_of(*principal);
  Shard& shard = shards_[key[0] % kShards];
  std::lock_guard lock(shard.mutex);
  if (generation_.load(std::memory_order_acquire) != generation || shard.index.contains(key)) return;
  shard.recent.push_front({key, std::move(principal), std::move(with), bytes});
  shard.index.emplace(key, shard.recent.begin());
  shard.bytes += bytes;
  while (shard.recent.size() > entries_max_ || shard.bytes > kShardBytesMax) {
    shard.erase(std::prev(shard.recent.end()));
  }
}

template <typename Matches>
void PrincipalCache::forget_if(Matches matches) {
  generation_.fetch_add(1, std::memory_order_acq_rel);
  for (Shard& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    for (auto it = shard.recent.begin(); it != shard.recent.end();) {
      it = matches(*it->principal) ? shard.erase(it) : std::next(it);
    }
  }
}

void PrincipalCache::forget_tenant(const base::TenantId& tenant) {
  forget_if([&tenant](const Principal& principal) { return principal.tenant() == tenant; });
}

void PrincipalCache::forget_credential(std::string_view credential_id) {
  forget_if([credential_id](const Principal& p) { return p.credential_id() == credential_id; });
}

void PrincipalCache::clear() {
  forget_if([](const Principal&) { return true; });
}

std::size_t PrincipalCache::size() const {
  std::size_t total = 0;
  for (const Shard& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    total += shard.recent.size();
  }
  return total;
}

}  // namespace bulkhead::identity
