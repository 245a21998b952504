// Verified credentials, keyed by the SHA-256 of the whole Authorization value, bounded by entries
// (least recently used) and by each credential's expiry. `forget_*` take effect before they return.
// Thread safety: all members from every thread; sharded by digest.
#pragma once

#include <array>
#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>

#include "crypto/hash.h"
#include "identity/principal.h"

namespace bulkhead::identity {

class PrincipalCache {
 public:
  explicit PrincipalCache(std::size_t entries_max) : entries_max_(entries_max / kShards + 1) {}

  std::shared_ptr<const Principal> find(const crypto::Digest& key, std::int64_t now);
  // Nothing is put in when a `forget` or `clear` ran since `generation` was read: a credential that
  // was verified before its revocation must not come back after it.
  void put(const crypto::Digest& key, std::shared_ptr<const Principal> principal, std::uint64_t generation);
  std::uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

  void forget_tenant(const base::TenantId& tenant);
  void forget_credential(std::string_view credential_id);
  void clear();
  std::size_t size() const;

 private:
  static constexpr std::size_t kShards = 16;
  struct DigestHash {
    std::size_t operator()(const crypto::Digest& digest) const;
  };
  struct Entry {
    crypto::Digest key;
    std::shared_ptr<const Principal> principal;
  };
  struct Shard {
    mutable std::mutex mutex;
    std::list<Entry> recent;  // most recently used first
    std::unordered_map<crypto::Digest, std::list<Entry>::iterator, DigestHash> index;
  };
  template <typename Matches>
  void forget_if(Matches matches);

  std::size_t entries_max_;
  std::atomic<std::uint64_t> generation_{0};
  std::array<Shard, kShards> shards_;
};

}  // namespace bulkhead::identity
