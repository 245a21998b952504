#include "identity/principal_cache.h"

#include <cstring>

namespace bulkhead::identity {

std::size_t PrincipalCache::DigestHash::operator()(const crypto::Digest& digest) const {
  std::size_t value;
  std::memcpy(&value, digest.data() + 8, sizeof value);
  return value;
}

std::shared_ptr<const Principal> PrincipalCache::find(const crypto::Digest& key, std::int64_t now) {
  Shard& shard = shards_[key[0] % kShards];
  std::lock_guard lock(shard.mutex);
  auto found = shard.index.find(key);
  if (found == shard.index.end()) return nullptr;
  std::int64_t expires = found->second->principal->expires_unix_seconds();
  if (expires != 0 && now >= expires) {
    shard.recent.erase(found->second);
    shard.index.erase(found);
    return nullptr;
  }
  shard.recent.splice(shard.recent.begin(), shard.recent, found->second);
  return found->second->principal;
}

void PrincipalCache::put(const crypto::Digest& key, std::shared_ptr<const Principal> principal,
                         std::uint64_t generation) {
  Shard& shard = shards_[key[0] % kShards];
  std::lock_guard lock(shard.mutex);
  if (generation_.load(std::memory_order_acquire) != generation || shard.index.contains(key)) return;
  shard.recent.push_front({key, std::move(principal)});
  shard.index.emplace(key, shard.recent.begin());
  if (shard.recent.size() > entries_max_) {
    shard.index.erase(shard.recent.back().key);
    shard.recent.pop_back();
  }
}

template <typename Matches>
void PrincipalCache::forget_if(Matches matches) {
  generation_.fetch_add(1, std::memory_order_acq_rel);
  for (Shard& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    for (auto it = shard.recent.begin(); it != shard.recent.end();) {
      if (matches(*it->principal)) {
        shard.index.erase(it->key);
        it = shard.recent.erase(it);
      } else {
        ++it;
      }
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
