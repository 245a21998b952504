#include "identity/key_set.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <tuple>
#include <vector>

#include "base/log.h"
#include "identity/issuer_documents.h"
#include "identity/jwks.h"

namespace bulkhead::identity {

using base::Error;
using base::Result;
using base::Task;

namespace {

// Signatures of one issuer's costly keys that may wait to be checked.
constexpr std::size_t kCostlyWaitingMax = 16;
// Between tries while there is no usable set: everything of this issuer is refused meanwhile, and
// strangers' tokens must not become a stream of requests to it.
constexpr std::chrono::seconds kRetryIntervalMin{1};
// Between tries while a set that is due for renewal is used.
constexpr std::chrono::seconds kRenewalIntervalMax{10};

// A set as it was just read.
struct ReadSet {
  std::vector<Jwk> keys;
  std::size_t unusable = 0;
  std::string why;  // the first of them is
};

// A key's name and use in its set, and the key itself: what stays the same over a renewal.
using KeyIdentity = std::tuple<std::string, std::optional<crypto::JwsAlgorithm>, crypto::Digest>;
KeyIdentity identity_of(const Jwk& jwk) { return {jwk.id, jwk.algorithm, jwk.thumbprint}; }

struct Keys {
  std::vector<Jwk> list;
  std::map<KeyIdentity, std::shared_ptr<KeyStanding>> standings;
  base::MonotonicTime fetched{};  // when the fetch began: what it says may be as old as that
};

// One of the signatures that wait for a thread.
struct CostlyPlace {
  explicit CostlyPlace(std::atomic<std::size_t>& waiting_in)
      : waiting(waiting_in), before(waiting.fetch_add(1)) {}
  CostlyPlace(const CostlyPlace&) = delete;
  ~CostlyPlace() { waiting.fetch_sub(1); }
  std::atomic<std::size_t>& waiting;
  const std::size_t before;
};

}  // namespace

struct KeySet::Impl {
  IssuerConfig config;
  const base::Clock& clock;
  std::shared_ptr<KeyWork> work;
  IssuerDocuments documents{config, work};
  std::atomic<std::size_t> costly_waiting{0};
  std::atomic<base::MonotonicTime::rep> renewal_due{0};

  mutable std::mutex mutex;
  std::shared_ptr<const Keys> keys;
  std::shared_ptr<base::Event> fetching;  // set while a fetch runs
  std::optional<base::MonotonicTime> last_attempt;
  std::optional<base::MonotonicTime> last_failure;  // since the set in use was fetched
  Stats stats;

  Impl(IssuerConfig c, const base::Clock& k, std::shared_ptr<KeyWork> w)
      : config(std::move(c)), clock(k), work(std::move(w)) {}

  Task<Result<ReadSet>> fetch() {
    auto body = co_await documents.key_set();
    if (!body) co_return body.take_error();
    auto document =
        co_await work->pool.run({.party = config.issuer}, [&body] { return JwksDocument::parse(*body); });
    if (!document) co_return documents.unavailable(document.error().message());
    ReadSet set;
    for (std::size_t i = 0; i < document->size(); ++i) {
      auto key =
          co_await work->pool.run({.party = config.issuer}, [&document, i] { return document->key(i); });
      if (key && *key) set.keys.push_back(std::move(**key));
      if (key) continue;
      ++set.unusable;
      if (set.why.empty()) set.why = "key " + std::to_string(i) + ": " + key.error().detail();
    }
    co_return set;
  }

  // Ends a fetch even when its coroutine is dropped half-way, so that nobody waits for it for ever.
  struct Fetching {
    Impl& impl;
    std::shared_ptr<base::Event> event;
    ~Fetching() {
      {
        std::lock_guard lock(impl.mutex);
        impl.fetching.reset();
      }
      event->set();
    }
  };

  // Fetches, or waits for the fetch that runs; does nothing when the last one began less than
  // `interval_min` ago.
  static Task<void> renew(std::shared_ptr<Impl> self, std::chrono::seconds interval_min) {
    std::shared_ptr<base::Event> running;
    bool mine = false;
    base::MonotonicTime began{};
    {
      std::lock_guard lock(self->mutex);
      if (!self->fetching) {
        auto now = self->clock.monotonic();
        if (self->last_attempt && now - *self->last_attempt < interval_min) co_return;
        self->fetching = std::make_shared<base::Event>();
        self->last_attempt = now;
        ++self->stats.fetches;
        began = now;
        mine = true;
      }
      running = self->fetching;
    }
    if (!mine) {
      co_await *running;
      co_return;
    }
    Fetching ends{*self, running};
    auto fetched = co_await self->fetch();
    std::lock_guard lock(self->mutex);
    if (fetched) {
      self->take(std::move(*fetched), began);
    } else {
      ++self->stats.failures;
      self->keep_for_now();
      base::log::warning("jwks_fetch_failed", {{"detail", std::string_view(fetched.error().detail())}});
    }
  }

  // Under the lock.
  std::shared_ptr<KeyStanding> standing_before(const KeyIdentity& identity) const {
    if (keys) {
      if (const auto found = keys->standings.find(identity); found != keys->standings.end()) {
        return found->second;
      }
    }
    return std::make_shared<KeyStanding>();
  }

  // Under the lock.
  void take(ReadSet set, base::MonotonicTime began) {
    auto fresh = std::make_shared<Keys>();
    fresh->list = std::move(set.keys);
    fresh->fetched = began;
    const auto until = began + std::min(config.jwks_refresh + kRenewalGrace, config.jwks_stale_max);
    for (const Jwk& jwk : fresh->list) {
      auto& standing = fresh->standings[identity_of(jwk)];
      if (standing) continue;
      standing = standing_before(identity_of(jwk));
      standing->believe_until(until);
    }
    if (keys) {
      for (const auto& [identity, standing] : keys->standings) {
        if (!fresh->standings.contains(identity)) standing->withdraw();
      }
    }
    keys = std::move(fresh);
    last_failure.reset();
    renewal_due.store((began + config.jwks_refresh).time_since_epoch().count());
    if (set.unusable != 0 && set.unusable != stats.unusable_keys) {
      base::log::warning("jwks_keys_passed_over", {{"issuer", std::string_view(config.issuer)},
                                                   {"keys", static_cast<std::int64_t>(set.unusable)},
                                                   {"detail", std::string_view(set.why)}});
    }
    stats.unusable_keys = set.unusable;
  }

  // Under the lock: the issuer can't be reached.
  void keep_for_now() {
    last_failure = clock.monotonic();
    if (!keys) return;
    const auto until = std::min(*last_failure + kFailureHolds, keys->fetched + config.jwks_stale_max);
    for (const auto& [identity, standing] : keys->standings) standing->believe_until(until);
  }

  // Whether the set may not be used again before a renewal has been tried.
  bool overdue(const std::shared_ptr<const Keys>& set) const {
    if (!older_than(set, config.jwks_refresh + kRenewalGrace)) return false;
    std::lock_guard lock(mutex);
    return !last_failure || clock.monotonic() - *last_failure >= kFailureHolds;
  }

  // A renewal for which nobody waits; it ends before the reactors do.
  static void renew_behind(const std::shared_ptr<Impl>& self) {
    base::Executor* executor = base::Executor::current();
    auto pass = std::make_shared<std::optional<base::Gate::Pass>>(self->work->renewals.enter());
    if (!executor || !*pass) return;
    base::spawn(*executor, renew(self, std::min(self->config.unknown_kid_interval_min, kRenewalIntervalMax)),
                [pass] { pass->reset(); });
  }

  std::shared_ptr<const Keys> current() const {
    std::lock_guard lock(mutex);
    return keys;
  }

  bool older_than(const std::shared_ptr<const Keys>& set, std::chrono::seconds age) const {
    return !set || clock.monotonic() - set->fetched >= age;
  }
};

KeySet::KeySet(IssuerConfig config, const base::Clock& clock, std::shared_ptr<KeyWork> work)
    : impl_(std::make_shared<Impl>(std::move(config), clock, std::move(work))) {}
KeySet::~KeySet() = default;

const IssuerConfig& KeySet::config() const { return impl_->config; }

KeySet::Stats KeySet::stats() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->stats;
}

void KeySet::renew_when_due() {
  const auto now = impl_->clock.monotonic();
  auto due = impl_->renewal_due.load(std::memory_order_relaxed);
  if (now.time_since_epoch().count() < due || !base::Executor::current()) return;
  // One of those who come meanwhile begins it, and none again for a while: this is on every request's way.
  const auto next = now + kRenewalIntervalMax;
  if (!impl_->renewal_due.compare_exchange_strong(due, next.time_since_epoch().count())) return;
  Impl::renew_behind(impl_);
}

Task<Result<KeySet::TrustedKey>> KeySet::key(std::string key_id, crypto::JwsAlgorithm algorithm) {
  std::shared_ptr<Impl> impl = impl_;
  const IssuerConfig& config = impl->config;
  std::shared_ptr<const Keys> set = impl->current();
  if (impl->older_than(set, config.jwks_stale_max)) {
    co_await Impl::renew(impl, kRetryIntervalMin);
    set = impl->current();
    if (impl->older_than(set, config.jwks_stale_max)) {
      co_return impl->documents.unavailable("no key set that is fresh enough");
    }
  } else if (impl->overdue(set)) {
    co_await Impl::renew(impl, kRetryIntervalMin);
    set = impl->current();
  } else if (impl->older_than(set, config.jwks_refresh)) {
    Impl::renew_behind(impl);  // nobody waits while the old set may still be used
  }
  const Jwk* found = find_key(set->list, key_id, algorithm);
  if (!found) {
    co_await Impl::renew(impl, config.unknown_kid_interval_min);
    set = impl->current();
    found = find_key(set->list, key_id, algorithm);
  }
  if (!found) {
    co_return Error(IdentityError::KeyUnknown,
                    "The token is signed with a key that its issuer does not list.");
  }
  co_return TrustedKey{found->key, set->standings.at(identity_of(*found))};
}

Task<Result<bool>> KeySet::verify(crypto::PublicKey key, crypto::JwsAlgorithm algorithm,
                                  base::ByteView message, base::ByteView signature) const {
  if (!key.costly()) co_return key.verify(algorithm, message, signature);
  std::shared_ptr<Impl> impl = impl_;
  const CostlyPlace place{impl->costly_waiting};
  if (place.before >= kCostlyWaitingMax) {
    co_return Error(
        IdentityError::IssuerBusy,
        "Many tokens of your identity provider are being checked just now, and its keys are large. "
        "Try again in a moment.");
  }
  co_return co_await impl->work->pool.run({.party = impl->config.issuer}, [&]() -> Result<bool> {
    return key.verify(algorithm, message, signature);
  });
}

}  // namespace bulkhead::identity
