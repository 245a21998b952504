// SaltBook: under which salt an external engine may keep a session's prefixes.
//
// A salt is HMAC-SHA-256 under a key of this deployment over tenant, session, model and a random nonce.
// Tenant and session come from the verified identity, so no client can name or guess another's. The nonce
// lives as long as the policy lets prefixes live: when it is dropped (after the policy's time without use, on
// burn, at a restart, or when the book is full) what the engine keeps under it can't be matched again by
// anyone, whether the engine dropped it or not.
// Without a policy to keep, each call has a nonce of its own.
//
// Thread safety: all members from every thread. The clock outlives it.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/secret.h"
#include "engine/engine.h"

namespace bulkhead::engine {

class SaltBook {
 public:
  SaltBook(base::Secret key, const base::Clock& clock, std::size_t sessions_max = 65'536)
      : key_(std::move(key)), clock_(clock), sessions_max_(sessions_max) {}

  // 43 characters of base64url.
  std::string salt(const CallContext& context, std::string_view model);
  // All of the tenant's when `session` is empty.
  void forget(const base::TenantId& tenant, const std::string& session);
  // Where a session belongs among replicas: the same for each of its requests, and nobody else's.
  std::string placement(const CallContext& context) const;

 private:
  using Name = std::pair<std::string, std::string>;  // tenant, session
  struct Entry {
    base::Bytes nonce;
    base::MonotonicTime used;
  };
  base::Bytes nonce_of(const Name& name, std::chrono::seconds kept);

  const base::Secret key_;
  const base::Clock& clock_;
  const std::size_t sessions_max_;
  std::mutex mutex_;
  std::map<Name, Entry> sessions_;
};

}  // namespace bulkhead::engine
