#include "identity/key_set.h"

#include <atomic>
#include <mutex>
#include <optional>
#include <vector>

#include "base/json.h"
#include "base/log.h"
#include "http/client.h"
#include "http/reactor.h"
#include "identity/jwks.h"

namespace bulkhead::identity {

namespace json = base::json;
using base::Error;
using base::Result;
using base::Task;

namespace {

// Signatures of one issuer's costly keys that may wait to be checked.
constexpr std::size_t kCostlyWaitingMax = 16;
// Between tries while there is no usable set: everything of this issuer is refused meanwhile, and
// strangers' tokens must not become a stream of requests to it.
constexpr std::chrono::seconds kRetryIntervalMin{1};
constexpr std::string_view kDiscoveryPath = "/.well-known/openid-configuration";

// A set as it was just read.
struct ReadSet {
  std::vector<Jwk> keys;
  std::size_t unusable = 0;
  std::string why;  // the first of them is
};

struct Keys {
  std::vector<Jwk> list;
  base::MonotonicTime fetched{};
};

Error unavailable(const std::string& issuer, std::string detail) {
  return Error(IdentityError::IssuerUnavailable,
               "The identity provider's keys can't be had just now. Try again shortly.",
               issuer + ": " + std::move(detail));
}

// One of the signatures that wait for a thread.
struct CostlyPlace {
  explicit CostlyPlace(std::atomic<std::size_t>& waiting_in)
      : waiting(waiting_in), before(waiting.fetch_add(1)) {}
  CostlyPlace(const CostlyPlace&) = delete;
  ~CostlyPlace() { waiting.fetch_sub(1); }
  std::atomic<std::size_t>& waiting;
  const std::size_t before;
};

// Cancels `fetch` after `time_max`, unless `over` is first.
Task<void> end_in_time(http::Reactor& reactor, std::chrono::milliseconds time_max, base::CancelToken fetch,
                       base::CancelToken over) {
  const bool slept = co_await reactor.sleep(time_max, over);
  if (slept) fetch.cancel("the identity provider took too long");
}

std::string_view text(const json::Value& object, std::string_view name) {
  return object[name].as_string().value_or("");
}

bool is_loopback(const std::string& host) {
  return host == "127.0.0.1" || host == "::1" || host == "localhost";
}

}  // namespace

struct KeySet::Impl {
  IssuerConfig config;
  const base::Clock& clock;
  std::shared_ptr<KeyWork> work;
  std::atomic<std::size_t> costly_waiting{0};

  mutable std::mutex mutex;
  std::shared_ptr<const Keys> keys;
  std::shared_ptr<base::Event> fetching;  // set while a fetch runs
  std::optional<base::MonotonicTime> last_attempt;
  Stats stats;

  Impl(IssuerConfig c, const base::Clock& k, std::shared_ptr<KeyWork> w)
      : config(std::move(c)), clock(k), work(std::move(w)) {}

  // GET without redirects; only https, or http to loopback where the configuration allows it.
  Task<Result<std::string>> get(std::string address, base::CancelToken cancel) {
    auto url = http::Url::parse(address);
    if (!url) co_return unavailable(config.issuer, "not a usable address: " + address);
    if (!url->tls && !(config.allow_http && is_loopback(url->host))) {
      co_return unavailable(config.issuer, "refusing plain http to " + url->host);
    }
    http::ClientOptions options;
    options.answer_time_max = std::chrono::seconds(10);
    options.stall_time_max = std::chrono::seconds(10);
    options.idle_connections_max = 0;
    if (url->tls) {
      // Reads files: the system's roots are hundreds.
      auto tls = co_await work->pool.run({.party = config.issuer},
                                         [this] { return http::TlsContext::client(config.ca_file); });
      if (!tls) co_return unavailable(config.issuer, tls.error().describe());
      options.tls = std::move(*tls);
    }
    http::Request request;
    request.path = request.target = url->path.empty() ? "/" : url->path;
    std::string host = url->host.find(':') == std::string::npos ? url->host : "[" + url->host + "]";
    request.headers.set("host", host + ":" + std::to_string(url->port));
    request.headers.set("accept", "application/json");
    http::Url authority = *url;
    authority.path.clear();
    http::Client client(std::move(authority), std::move(options));
    auto answer = co_await client.request(std::move(request), kJwksBytesMax, std::move(cancel));
    if (!answer) co_return unavailable(config.issuer, answer.error().describe());
    if (answer->status != 200) {
      co_return unavailable(config.issuer, address + " answered " + std::to_string(answer->status));
    }
    co_return std::move(answer->body);
  }

  Task<Result<std::string>> jwks_address(base::CancelToken cancel) {
    if (!config.jwks_uri.empty()) co_return config.jwks_uri;
    std::string issuer = config.issuer;
    if (issuer.ends_with('/')) issuer.pop_back();
    auto body = co_await get(issuer + std::string(kDiscoveryPath), std::move(cancel));
    if (!body) co_return body.take_error();
    auto document = json::Document::parse(*body);
    if (!document) co_return unavailable(config.issuer, "discovery: " + document.error().describe());
    if (text(document->root(), "issuer") != config.issuer) {
      co_return unavailable(config.issuer, "discovery names another issuer");
    }
    co_return std::string(text(document->root(), "jwks_uri"));
  }

  Task<Result<std::string>> download() {
    base::CancelToken cancel, over;
    auto stopping = work->stopping.on_cancel([cancel] { cancel.cancel(base::CancelReason::Shutdown); });
    http::Reactor& reactor = *http::Reactor::current();
    base::spawn(reactor, end_in_time(reactor, work->fetch_time_max, cancel, over));
    auto address = co_await jwks_address(cancel);
    auto body =
        address ? co_await get(std::move(*address), cancel) : Result<std::string>(address.take_error());
    over.cancel(base::CancelReason::Abandoned);
    co_return body;
  }

  Task<Result<ReadSet>> fetch() {
    auto body = co_await download();
    if (!body) co_return body.take_error();
    auto document =
        co_await work->pool.run({.party = config.issuer}, [&body] { return JwksDocument::parse(*body); });
    if (!document) co_return unavailable(config.issuer, document.error().message());
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
    {
      std::lock_guard lock(self->mutex);
      if (!self->fetching) {
        auto now = self->clock.monotonic();
        if (self->last_attempt && now - *self->last_attempt < interval_min) co_return;
        self->fetching = std::make_shared<base::Event>();
        self->last_attempt = now;
        ++self->stats.fetches;
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
      self->take(std::move(*fetched));
    } else {
      ++self->stats.failures;
      base::log::warning("jwks_fetch_failed", {{"detail", std::string_view(fetched.error().detail())}});
    }
  }

  // Under the lock.
  void take(ReadSet set) {
    auto fresh = std::make_shared<Keys>();
    fresh->list = std::move(set.keys);
    fresh->fetched = clock.monotonic();
    keys = std::move(fresh);
    if (set.unusable != 0 && set.unusable != stats.unusable_keys) {
      base::log::warning("jwks_keys_passed_over", {{"issuer", std::string_view(config.issuer)},
                                                   {"keys", static_cast<std::int64_t>(set.unusable)},
                                                   {"detail", std::string_view(set.why)}});
    }
    stats.unusable_keys = set.unusable;
  }

  // A renewal for which nobody waits; it ends before the reactors do.
  static void renew_behind(const std::shared_ptr<Impl>& self) {
    base::Executor* executor = base::Executor::current();
    auto pass = std::make_shared<std::optional<base::Gate::Pass>>(self->work->renewals.enter());
    if (!executor || !*pass) return;
    base::spawn(*executor, renew(self, self->config.unknown_kid_interval_min), [pass] { pass->reset(); });
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

Task<Result<crypto::PublicKey>> KeySet::key(std::string key_id, crypto::JwsAlgorithm algorithm) {
  std::shared_ptr<Impl> impl = impl_;
  const IssuerConfig& config = impl->config;
  std::shared_ptr<const Keys> set = impl->current();
  if (impl->older_than(set, config.jwks_stale_max)) {
    co_await Impl::renew(impl, kRetryIntervalMin);
    set = impl->current();
    if (impl->older_than(set, config.jwks_stale_max)) {
      co_return unavailable(config.issuer, "no key set that is fresh enough");
    }
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
  co_return found->key;
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
