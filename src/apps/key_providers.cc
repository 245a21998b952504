#include "apps/key_providers.h"

#include <algorithm>
#include <atomic>
#include <set>

#include "base/log.h"
#include "crypto/bounded_provider.h"
#include "crypto/pkcs11_provider.h"

namespace bulkhead::apps {

using base::Error;
using base::Result;

namespace {

// Keys are asked for again from a quarter of their lifetime on; rounds come twice as often, and the provider
// itself is tried in every fourth.
constexpr int kRoundsALifetime = 8;
constexpr int kRoundsATrial = 4;
constexpr std::chrono::milliseconds kRoundMax{5'000};

Error about(const gateway::KeyProviderConfig& config, const Error& cause) {
  return Error(crypto::KeyProviderError::Misconfigured,
               "[[key_provider]] " + config.name + ": " + cause.message(), cause.detail());
}

}  // namespace

struct KeyProviders::Each {
  std::string name;
  std::shared_ptr<crypto::KeyProvider> provider;
  std::atomic<bool> up{true};

  void note(const Result<void>& tried) {
    if (up.exchange(tried.ok()) == tried.ok()) return;
    if (tried) {
      base::log::info("key_provider_available", {{"provider", std::string_view(name)}});
      return;
    }
    base::log::warning("key_provider_unavailable", {{"provider", std::string_view(name)},
                                                    {"error", tried.error().name().code},
                                                    {"detail", std::string_view(tried.error().detail())}});
  }
};

KeyProviders::KeyProviders(const gateway::Config& config, tenancy::TenantDirectory& tenants)
    : tenants_(tenants), lifetime_(config.data.key_lifetime) {}

KeyProviders::~KeyProviders() { stop(); }

Result<std::unique_ptr<KeyProviders>> KeyProviders::open(const gateway::Config& config,
                                                         tenancy::TenantDirectory& tenants,
                                                         watch::Metrics& metrics) {
  std::set<std::string> in_use;
  for (const tenancy::Tenant& tenant : tenants.list()) {
    if (tenant.state == tenancy::TenantState::Destroyed) continue;
    BULKHEAD_TRY(keys, tenants.keyring().status(tenant.id));
    const std::string& name = keys.provider;
    const bool known =
        name == "platform" || std::any_of(config.key_providers.begin(), config.key_providers.end(),
                                          [&](const auto& each) { return each.name == name; });
    if (!known) {
      return Error(crypto::KeyProviderError::Misconfigured,
                   "Tenant " + tenant.id.str() + ": its key is wrapped by the key provider \"" + name +
                       "\", which the configuration does not have. Put its [[key_provider]] section back.");
    }
    in_use.insert(name);
  }
  std::unique_ptr<KeyProviders> made(new KeyProviders(config, tenants));
  tenants.keyring().set_lifetime(config.data.key_lifetime);
  for (const gateway::KeyProviderConfig& each : config.key_providers) {
    BULKHEAD_CHECK_OK(made->add(each, in_use.contains(each.name), metrics));
  }
  metrics.gauge("bulkhead_tenant_keys_lost", "Tenants whose key could not be had when it was last asked for",
                {}, [&tenants] { return static_cast<double>(tenants.keyring().lost()); });
  return made;
}

Result<void> KeyProviders::add(const gateway::KeyProviderConfig& config, bool in_use,
                               watch::Metrics& metrics) {
  auto token = crypto::Pkcs11Provider::open(config.pkcs11);
  if (!token) return about(config, token.error());
  auto each = std::make_unique<Each>();
  each->name = config.name;
  each->provider = std::make_shared<crypto::BoundedProvider>(std::move(*token), config.call_time_max);
  auto tried = crypto::try_provider(*each->provider);
  if (!tried && !in_use) return about(config, tried.error());
  each->note(tried);
  tenants_.keyring().add_provider(config.name, each->provider);
  metrics.gauge("bulkhead_key_provider_up", "1 when the key provider wrapped and unwrapped when last tried",
                {{"provider", config.name}}, [one = each.get()] { return one->up ? 1.0 : 0.0; });
  all_.push_back(std::move(each));
  return {};
}

void KeyProviders::start() {
  if (all_.empty()) return;
  for (const auto& each : all_) threads_.emplace_back([this, one = each.get()] { watch_provider(*one); });
  threads_.emplace_back([this] { watch_lifetimes(); });
}

void KeyProviders::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stopping_now_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

bool KeyProviders::wait(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return !stopping_now_.wait_for(lock, time, [this] { return stopping_; });
}

void KeyProviders::watch_provider(Each& each) {
  const auto round = std::min(lifetime_ / kRoundsALifetime, kRoundMax);
  for (int count = 1; wait(round); ++count) {
    tenants_.keyring().refresh(each.name);
    if (count % kRoundsATrial == 0) each.note(crypto::try_provider(*each.provider));
  }
}

void KeyProviders::watch_lifetimes() {
  // A lifetime begins when the provider is asked, and its answer may take half of one (check_key_providers):
  // whatever is opened between two looks can't have ended before the second.
  const auto most = lifetime_ / 2;
  auto next = most;
  while (wait(std::min(next, most))) {
    next = tenants_.keyring().lose_expired().value_or(most) + std::chrono::milliseconds(1);
  }
}

}  // namespace bulkhead::apps
