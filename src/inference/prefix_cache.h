// PrefixCache: K and V rows of finished requests, kept for later requests of the same key (invariant I5).
//
// The key is (tenant, session, model, adapter), made from the signed context and never from a body;
// nothing is found across keys. Rows are kept in host memory as llama.cpp writes a sequence's state, so
// that the decoding slots stay free and packed; a tenant whose policy is "off" never gets here.
//
// Memory is divided into partitions of equal size, one a tenant, taken at its first entry and given back
// with its last: no tenant's use of the cache can push out, or be felt in, another's. Inside a partition
// the least recently used go first.
// Whatever leaves is zeroed and read back. Thread safety: none; the scheduler's thread owns it.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/burn_report.h"
#include "inference/tokens.h"

namespace bulkhead::inference {

struct PrefixKey {
  std::string tenant, session, model, adapter;
  auto operator<=>(const PrefixKey&) const = default;
};

class PrefixCache {
 public:
  using Time = std::chrono::steady_clock::time_point;
  struct Options {
    std::size_t partitions = 8;  // tenants that may keep prefixes at once
    std::size_t partition_bytes = 256u << 20;
    bool burn = true;  // false: the control experiment
  };
  struct Entry {
    Tokens tokens;  // whose rows these are, from position 0
    std::vector<std::uint8_t> state;
    std::chrono::seconds lifetime{300};  // since the last use
    Time used{};
    std::size_t bytes() const { return state.size() + tokens.size() * sizeof(Token); }
  };
  struct Match {
    const Entry* entry = nullptr;  // valid until the next change
    std::size_t common = 0;        // leading tokens shared with the prompt
  };

  explicit PrefixCache(Options options) : options_(options) {}
  ~PrefixCache();

  // The entry of this key that shares most tokens with `prompt`; none when it is less than `common_min`.
  std::optional<Match> find(const PrefixKey& key, const Tokens& prompt, std::size_t common_min, Time now);
  // Keeps it, in place of entries that it continues. False, and the entry burned, when it can't be kept.
  bool keep(const PrefixKey& key, Entry entry, Time now);

  // Each says what it erased and read back.
  base::BurnReport burn_session(const std::string& tenant, const std::string& session);
  base::BurnReport burn_tenant(const std::string& tenant);
  base::BurnReport burn_expired(Time now);
  base::BurnReport burn_all();
  std::optional<Time> next_expiry() const;

  std::size_t entries() const;
  std::size_t bytes() const;

 private:
  struct Kept {
    PrefixKey key;
    Entry entry;
  };
  struct Partition {
    std::list<Kept> kept;  // least recently used first
    std::size_t bytes = 0;
  };
  template <typename Chosen>
  base::BurnReport burn_where(Partition& partition, Chosen chosen);
  template <typename Chosen>
  base::BurnReport burn_everywhere(Chosen chosen);
  base::BurnReport erase(Entry& entry) const;

  Options options_;
  std::map<std::string, Partition> partitions_;
};

std::size_t common_prefix(const Tokens& a, const Tokens& b);

}  // namespace bulkhead::inference
