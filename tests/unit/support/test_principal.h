// Principals for the tests of every module, made the only way there is: a real API key, looked up in
// a directory in memory and verified by the real Authenticator. Not even a test forges one.
#pragma once

#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crypto/random.h"
#include "identity/authenticator.h"
#include "identity/user_id.h"

namespace bulkhead::test {

class InMemoryKeys final : public identity::ApiKeyDirectory {
 public:
  InMemoryKeys() : hash_key_(crypto::random_secret(32)) {}

  void add(identity::ApiKeyRecord record, std::string_view text) {
    record.keyed_hash = identity::api_key_hash(hash_key_, text);
    records_.insert_or_assign(record.id.str(), std::move(record));
  }
  identity::ApiKeyRecord& record(const base::ApiKeyId& id) { return records_.at(id.str()); }

  base::Result<Entry> find(const identity::ParsedApiKey& key, std::string_view text) override {
    ++calls;
    auto found = records_.find(key.id.str());
    if (found == records_.end()) {
      return base::Error(identity::IdentityError::ApiKeyUnknown, "The API key is not valid.");
    }
    return Entry{found->second, identity::api_key_hash(hash_key_, text)};
  }
  std::atomic<int> calls{0};

 private:
  base::Secret hash_key_;
  std::map<std::string, identity::ApiKeyRecord> records_;
};

// Every tenant is there and active unless told otherwise.
class OpenTenants final : public identity::TenantStatus {
 public:
  State state_of(std::string_view) const override { return state.load(); }
  std::atomic<State> state{State::Active};
};

inline std::shared_ptr<const identity::Principal> authenticated_by_key(
    const std::optional<base::TenantId>& tenant, std::string user, std::vector<std::string> roles,
    std::vector<std::string> groups, std::int64_t expires = 0) {
  base::Secret tag_key = crypto::random_secret(32);
  identity::ApiKeyFormat format(tag_key.clone());
  auto key = format.make(tenant);
  InMemoryKeys keys;
  identity::ApiKeyRecord record{.id = key.id};
  record.user = std::move(user);
  record.roles = std::move(roles);
  record.groups = std::move(groups);
  record.expires = expires;
  keys.add(std::move(record), key.text.reveal_text());
  OpenTenants tenants;
  base::FairPool pool({.threads = 1});
  base::ManualClock clock;
  // As in a deployment of API keys alone: what was stored under a plain name is the local user's.
  identity::AuthenticatorOptions options;
  options.user_names = std::make_shared<identity::UserNames>();
  if (tenant) options.user_names->pin(*tenant, "");
  identity::Authenticator authenticator(
      std::move(options), identity::ApiKeyFormat(std::move(tag_key)), keys, tenants,
      [&pool](const auto&) -> base::FairPool& { return pool; }, clock);
  auto principal =
      base::run_blocking(authenticator.authenticate("Bearer " + std::string(key.text.reveal_text())));
  if (!principal) std::abort();
  return std::move(*principal);
}

inline std::shared_ptr<const identity::Principal> principal(std::string tenant, std::string user = "alice",
                                                            std::vector<std::string> roles = {"member"},
                                                            std::vector<std::string> groups = {}) {
  auto id = base::TenantId::parse(tenant);
  if (!id) std::abort();
  return authenticated_by_key(id, std::move(user), std::move(roles), std::move(groups));
}

inline std::shared_ptr<const identity::Principal> platform_operator(std::string user = "olga") {
  return authenticated_by_key(std::nullopt, std::move(user), {"operator"}, {});
}

}  // namespace bulkhead::test
