#include "identity/authenticator.h"

#include <algorithm>
#include <mutex>

#include "identity/claim_errors.h"
#include "identity/key_set.h"
#include "identity/principal_cache.h"
#include "identity/principal_factory.h"
#include "identity/refusal_log.h"
#include "identity/token.h"
#include "identity/token_verifier.h"

namespace bulkhead::identity {

using base::Error;
using base::Result;
using base::Task;

namespace {

using KeySets = std::vector<std::shared_ptr<KeySet>>;
constexpr std::string_view kApiKeyPrefix = "bhk_";

std::shared_ptr<const KeySets> make_key_sets(std::vector<IssuerConfig> issuers, const base::Clock& clock,
                                             const std::shared_ptr<KeyWork>& work) {
  auto sets = std::make_shared<KeySets>();
  for (IssuerConfig& issuer : issuers) {
    sets->push_back(std::make_shared<KeySet>(std::move(issuer), clock, work));
  }
  return sets;
}

// "Bearer <token>" (RFC 6750 section 2.1); the scheme's case does not matter.
Result<std::string_view> bearer_token(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.empty()) {
    return Error(IdentityError::Missing, "Send a credential: \"Authorization: Bearer <token or API key>\".");
  }
  bool bearer = authorization.size() > kScheme.size() &&
                std::equal(kScheme.begin(), kScheme.end(), authorization.begin(), [](char want, char have) {
                  return want == (have >= 'A' && have <= 'Z' ? have + 32 : have);
                });
  if (!bearer) {
    return Error(IdentityError::NotBearer, "Only \"Authorization: Bearer <token or API key>\" is accepted.");
  }
  return authorization.substr(kScheme.size());
}

struct Verified {
  std::shared_ptr<const Principal> principal;
  VerifiedWith with;
};

constexpr std::string_view kOperators = "operators.keys";  // no tenant can have this name

Error api_key_unknown() {
  return Error(IdentityError::ApiKeyUnknown, "The API key is not valid. Check it, or make a new one.");
}

}  // namespace

struct Authenticator::Impl {
  AuthenticatorOptions options;
  ApiKeyFormat key_format;
  ApiKeyDirectory& directory;
  const TenantStatus& tenants;
  const PoolOf pool_of;
  const base::Clock& clock;
  PrincipalCache cache;
  std::shared_ptr<UserNames> names;
  std::atomic<std::uint64_t> hits{0}, misses{0};
  const std::shared_ptr<KeyWork> key_work = std::make_shared<KeyWork>();
  mutable std::mutex mutex;
  std::shared_ptr<const KeySets> key_sets;
  RefusalLog refusals{clock};

  Impl(AuthenticatorOptions o, ApiKeyFormat f, ApiKeyDirectory& d, const TenantStatus& t, PoolOf p,
       const base::Clock& c)
      : options(std::move(o)),
        key_format(std::move(f)),
        directory(d),
        tenants(t),
        pool_of(std::move(p)),
        clock(c),
        cache(options.cache_entries_max),
        names(options.user_names ? options.user_names : std::make_shared<UserNames>(options.issuers)),
        key_sets(make_key_sets(std::move(options.issuers), c, key_work)) {}

  Result<void> check_tenant(const Principal& principal) const {
    if (!principal.tenant()) return Result<void>();
    switch (tenants.state_of(principal.tenant()->str())) {
      case TenantStatus::State::Active: return Result<void>();
      case TenantStatus::State::Suspended:
        return Error(IdentityError::TenantSuspended, "This tenant is suspended. Ask your operator.");
      case TenantStatus::State::Unknown: break;
    }
    return Error(IdentityError::TenantUnknown, "The credential is of no tenant of this deployment.");
  }

  std::shared_ptr<const KeySets> current_sets() const {
    std::lock_guard lock(mutex);
    return key_sets;
  }

  std::shared_ptr<KeySet> issuer_of(const UnverifiedToken& token) const {
    const auto name = token.unverified_claims()["iss"].as_string();
    const auto sets = current_sets();
    std::shared_ptr<KeySet> found;
    for (const auto& set : *sets) {
      if (name != set->config().issuer) continue;
      if (found) return nullptr;  // configured twice: whose rules hold is not guessed
      found = set;
    }
    return found;
  }

  Error issuer_unknown(const UnverifiedToken& token) const {
    std::vector<std::string> configured;
    for (const auto& set : *current_sets()) configured.push_back(set->config().issuer);
    const auto named = token.unverified_claims()["iss"].as_string();
    std::string expected = named ? near_miss(*named, configured) : std::string();
    return Error(IdentityError::IssuerUnknown, "The token's issuer is not trusted here.",
                 expected.empty() ? one_of(configured) : std::move(expected))
        .with_parameter("iss");
  }

  Task<Result<Verified>> from_token(std::string text) {
    auto token = UnverifiedToken::parse(text, options.token_bytes_max);
    if (!token) {
      refusals.add("", token.error());
      co_return token.take_error();
    }
    std::shared_ptr<KeySet> issuer = issuer_of(*token);
    if (!issuer) {
      Error unknown = issuer_unknown(*token);
      refusals.add("", unknown);
      co_return unknown;
    }
    auto verified = co_await verify(*token, issuer);
    if (!verified) refusals.add(issuer->config().issuer, verified.error());
    co_return verified;
  }

  Task<Result<Verified>> verify(const UnverifiedToken& token, std::shared_ptr<KeySet> issuer) {
    BULKHEAD_CO_CHECK_OK(check_header(token, issuer->config()));
    auto key = co_await issuer->key(token.key_id(), token.algorithm());
    if (!key) co_return key.take_error();
    auto genuine = co_await issuer->verify(std::move(key->key), token.algorithm(),
                                           base::as_bytes(token.signing_input()), token.signature());
    if (!genuine) co_return genuine.take_error();
    if (!*genuine) {
      co_return Error(IdentityError::SignatureInvalid, "The token's signature is not valid.");
    }
    auto principal = principal_from_verified(token, issuer->config(), *names, clock);
    if (!principal) co_return principal.take_error();
    co_return Verified{std::move(*principal), {std::move(issuer), std::move(key->standing)}};
  }

  // A key from before users had issuers acts as its subject of the tenant's legacy issuer, or as a local
  // user.
  void set_user(PrincipalFacts& facts, const std::string& stored) const {
    if (const auto parts = user_parts(stored)) {
      facts.user_issuer = parts->issuer;
      facts.subject = parts->subject;
      facts.earlier_user = facts.tenant && names->legacy_issuer(*facts.tenant) == facts.user_issuer;
      return;
    }
    facts.subject = stored;
    const auto legacy = facts.tenant ? names->legacy_issuer(*facts.tenant) : std::nullopt;
    facts.user_issuer = legacy.value_or("");
    facts.earlier_user = legacy.has_value();
  }

  Task<Result<Verified>> from_api_key(std::string text) {
    auto parsed = key_format.parse(text);
    if (!parsed) co_return api_key_unknown();
    const std::string party = parsed->tenant ? parsed->tenant->str() : std::string(kOperators);
    auto entry = co_await pool_of(parsed->tenant).run({.party = party}, [this, &parsed, &text] {
      return directory.find(*parsed, text);
    });
    base::wipe(text);
    if (!entry) co_return entry.take_error();
    const ApiKeyRecord& record = entry->record;
    bool matches = base::equal_constant_time(record.keyed_hash, entry->expected);
    bool expired = record.expires != 0 && clock.unix_seconds() >= record.expires;
    if (!matches || record.revoked || expired) co_return api_key_unknown();
    PrincipalFacts facts;
    facts.tenant = parsed->tenant;
    facts.is_operator = !parsed->tenant;
    set_user(facts, record.user);
    facts.roles = facts.is_operator ? std::vector<std::string>{"operator"} : record.roles;
    facts.groups = record.groups;
    facts.credential = CredentialKind::ApiKey;
    facts.credential_id = record.id.str();
    facts.expires = record.expires;
    co_return Verified{PrincipalFactory::make(std::move(facts)), {}};
  }
};

Authenticator::Authenticator(AuthenticatorOptions options, ApiKeyFormat key_format,
                             ApiKeyDirectory& directory, const TenantStatus& tenants, PoolOf pool_of,
                             const base::Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(key_format), directory, tenants,
                                   std::move(pool_of), clock)) {}
Authenticator::~Authenticator() { stop(); }
void Authenticator::stop() { impl_->key_work->stop(); }

Task<Result<std::shared_ptr<const Principal>>> Authenticator::authenticate(std::string authorization) {
  auto text = bearer_token(authorization);
  if (!text) co_return text.take_error();
  std::uint64_t generation = impl_->cache.generation();
  const crypto::Digest digest = crypto::sha256(authorization);
  if (auto known = impl_->cache.find(digest, impl_->clock); known.principal) {
    if (known.issuer) known.issuer->renew_when_due();
    BULKHEAD_CO_CHECK_OK(impl_->check_tenant(*known.principal));
    co_return std::move(known.principal);
  }
  bool api_key = text->starts_with(kApiKeyPrefix);
  std::string credential(*text);
  auto verified = api_key ? co_await impl_->from_api_key(credential) : co_await impl_->from_token(credential);
  base::wipe(credential);
  if (!verified) co_return verified.take_error();
  BULKHEAD_CO_CHECK_OK(impl_->check_tenant(*verified->principal));
  impl_->cache.put(digest, verified->principal, std::move(verified->with), generation);
  co_return std::move(verified->principal);
}

std::shared_ptr<const Principal> Authenticator::cached(std::string_view authorization) {
  auto found = impl_->cache.find(crypto::sha256(authorization), impl_->clock);
  // A suspended tenant's credential goes to `authenticate`, which says why it is refused.
  if (!found.principal || !impl_->check_tenant(*found.principal)) {
    impl_->misses.fetch_add(1, std::memory_order_relaxed);
    return nullptr;
  }
  if (found.issuer) found.issuer->renew_when_due();
  impl_->hits.fetch_add(1, std::memory_order_relaxed);
  return std::move(found.principal);
}

void Authenticator::forget_tenant(const base::TenantId& tenant) { impl_->cache.forget_tenant(tenant); }
void Authenticator::forget_credential(std::string_view id) { impl_->cache.forget_credential(id); }

void Authenticator::replace_issuers(std::vector<IssuerConfig> issuers) {
  impl_->names->set_issuers(issuers);
  auto fresh = make_key_sets(std::move(issuers), impl_->clock, impl_->key_work);
  {
    std::lock_guard lock(impl_->mutex);
    impl_->key_sets = std::move(fresh);
  }
  impl_->cache.clear();
}

Authenticator::Stats Authenticator::stats() const {
  Stats stats{impl_->hits.load(), impl_->misses.load(), impl_->cache.size(), 0, 0, 0};
  std::lock_guard lock(impl_->mutex);
  for (const auto& set : *impl_->key_sets) {
    stats.jwks_fetches += set->stats().fetches;
    stats.jwks_failures += set->stats().failures;
    stats.jwks_unusable_keys += set->stats().unusable_keys;
  }
  return stats;
}

}  // namespace bulkhead::identity
