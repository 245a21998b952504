// Verified credentials, keyed by the SHA-256 of the whole Authorization value, bounded by entries and bytes
// (least recently used), by each credential's expiry and by the standing of the key that it was verified
// with. `forget_*` take effect before they return. Thread safety: all members from every thread; sharded by
// digest.
#pragma once

#include <array>
#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>

#include "crypto/hash.h"
#include "identity/key_set.h"
#include "identity/principal.h"

namespace bulkhead::identity {

// What a token was verified with; empty for API keys.
struct VerifiedWith {
  std::shared_ptr<KeySet> issuer;
  std::shared_ptr<const KeyStanding> key;
};

class PrincipalCache {
 public:
  explicit PrincipalCache(std::size_t entries_max) : entries_max_(entries_max / kShards + 1) {}

  struct Found {
    std::shared_ptr<const Principal> principal;  // null: not there, or to be believed no more
    std::shared_ptr<KeySet> issuer;              // of a token
  };
  Found find(const crypto::Digest& key, const base::Clock& clock);
  // Nothing is put in when a `forget` or `clear` ran since `generation` was read: a credential that
  // was verified before its revocation must not come back after it.
  void put(const crypto::Digest& key, std::shared_ptr<const Principal> principal, VerifiedWith with,
           std::uint64_t generation);
  std::uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

  void forget_tenant(const base::TenantId& tenant);
  void forget_credential(std::string_view credential_id);
  void clear();
  std::size_t size() const;

 private:
  static constexpr std::size_t kShards = 16;
  // Principals with hundreds of long group names are as large as their tokens.
  static constexpr std::size_t kShardBytesMax = 4 << 20;
  struct DigestHash {
    std::size_t operator()(const crypto::Digest& digest) const;
  };
  struct Entry {
    crypto::Digest key;
    std::shared_ptr<const Principal> principal;
    VerifiedWith with;
    std::size_t bytes;
  };
  struct Shard {
    mutable std::mutex mutex;
    std::size_t bytes = 0;    // of all entries
    std::list<Entry> recent;  // most recently used first
    std::unordered_map<crypto::Digest, std::list<Entry>::iterator, DigestHash> index;
    std::list<Entry>::iterator erase(std::list<Entry>::iterator entry);
  };
  template <typename Matches>
  void forget_if(Matches matches);

  std::size_t entries_max_;
  std::atomic<std::uint64_t> generation_{0};
  std::array<Shard, kShards> shards_;
};

}  // namespace bulkhead::identity
