#include "gateway/limits.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <unordered_map>

#include "gateway/api_error.h"

namespace bulkhead::gateway {

using base::Result;

namespace {

constexpr std::chrono::seconds kTidyInterval{1};

// The share of a minute's tokens that admits a request of any size. With all of it, a large request would be
// refused for as long as the account's others use a little.
constexpr double kNeedShareMax = 0.5;

// Tokens beyond what is charged already at which a running request is charged again: accounts are behind one
// lock, and a request may use one token at a time.
constexpr double kChargeStep = 64;

// A bucket of `per_minute`, full at first, refilled evenly.
struct Bucket {
  double left = -1;  // below zero with `fresh`: not used yet
  double per_minute = 0;
  bool fresh = true;
  base::MonotonicTime seen{};

  void refill(double rate, base::MonotonicTime now) {
    per_minute = rate;
    left = fresh ? rate : std::min(rate, left + gained(now));
    fresh = false;
    seen = now;
  }
  double gained(base::MonotonicTime now) const {
    return per_minute * std::chrono::duration<double>(now - seen).count() / 60;
  }
  bool full(base::MonotonicTime now) const { return fresh || left + gained(now) >= per_minute; }
  double seconds_until(double amount) const { return left >= amount ? 0 : (amount - left) * 60 / per_minute; }
};

struct Account {
  Bucket requests;
  Bucket tokens;
  std::uint32_t running = 0;
  // Whether it says no more than a new one would.
  bool forgettable(base::MonotonicTime now) const {
    return running == 0 && requests.full(now) && tokens.full(now);
  }
};

struct TenantAccount {
  Account whole;
  std::unordered_map<std::string, Account> users;
  Account others;  // users beyond the bound, together
  base::MonotonicTime tidied{};

  Account* find(const std::string& user, bool among_others) {
    if (among_others) return &others;
    auto found = users.find(user);
    return found == users.end() ? nullptr : &found->second;
  }
};

struct Rates {
  double requests, tokens;
  std::uint32_t concurrent;
};

// What one account has of one kind, as the headers tell it.
struct Standing {
  double per_minute = 1, left = 0;
};

Standing tighter(const Bucket& one, const Bucket& other) {
  const Bucket& less = one.left < other.left ? one : other;
  return {less.per_minute, less.left};
}

std::string duration_text(double seconds) {
  auto millis = static_cast<std::int64_t>(std::ceil(seconds * 1000));
  if (millis < 1000) return std::to_string(millis) + "ms";
  return std::to_string((millis + 999) / 1000) + "s";
}

}  // namespace

struct Limiter::Impl {
  Impl(const base::Clock& c, std::size_t u) : clock(c), users_max(u) {}
  const base::Clock& clock;
  const std::size_t users_max;
  std::mutex mutex;
  std::unordered_map<std::string, TenantAccount> tenants;

  // False: the table is full and the user is one of the others.
  bool has_account(TenantAccount& tenant, const std::string& user, base::MonotonicTime now) {
    if (tenant.users.size() < users_max || tenant.users.contains(user)) return true;
    // The whole table is gone over, so not for each of many new names.
    if (now - tenant.tidied < kTidyInterval) return false;
    tenant.tidied = now;
    std::erase_if(tenant.users, [now](const auto& entry) { return entry.second.forgettable(now); });
    return tenant.users.size() < users_max;
  }
};

struct Limiter::Admission::State {
  std::shared_ptr<Impl> limiter;
  std::string tenant, user;
  bool among_others = false;
  double used = 0;
  double charged_to_tenant = 0, charged_to_user = 0;
  Standing requests, tokens;

  // The two accounts that are still there, under the lock, with what each was charged.
  template <typename Visit>
  void each_account(Visit visit) {
    std::lock_guard lock(limiter->mutex);
    auto found = limiter->tenants.find(tenant);
    if (found == limiter->tenants.end()) return;
    visit(found->second.whole, charged_to_tenant);
    if (Account* own = found->second.find(user, among_others)) visit(*own, charged_to_user);
  }

  void charge_what_was_used() {
    each_account([this](Account& account, double& charged) {
      account.tokens.left -= used - charged;
      charged = used;
    });
  }

  ~State() {
    if (!limiter) return;  // refused: nothing was taken
    charge_what_was_used();
    each_account([](Account& account, double&) {
      if (account.running > 0) --account.running;
    });
  }
};

Limiter::Admission::Admission() = default;
Limiter::Admission::Admission(Admission&&) noexcept = default;
Limiter::Admission& Limiter::Admission::operator=(Admission&&) noexcept = default;
Limiter::Admission::~Admission() = default;

Limiter::Limiter(const base::Clock& clock, std::size_t users_of_a_tenant_max)
    : impl_(std::make_shared<Impl>(clock, users_of_a_tenant_max)) {}
Limiter::~Limiter() = default;

Result<Limiter::Admission> Limiter::admit(const tenancy::Tenant& tenant, std::string_view user,
                                          std::int64_t estimated_tokens, std::int64_t& retry_after_seconds) {
  const tenancy::TenantLimits& limits = tenant.policy.limits;
  const Rates tenant_rates{static_cast<double>(limits.requests_per_minute),
                           static_cast<double>(limits.tokens_per_minute), limits.concurrent_requests};
  const Rates user_rates{static_cast<double>(limits.user_requests_per_minute),
                         static_cast<double>(limits.user_tokens_per_minute), limits.user_concurrent_requests};
  auto state = std::make_unique<Admission::State>();
  state->tenant = tenant.id.str();
  state->user = user;
  base::MonotonicTime now = impl_->clock.monotonic();

  const auto estimate = static_cast<double>(estimated_tokens);
  auto token_need = [&](const Rates& rates) { return std::min(estimate, rates.tokens * kNeedShareMax); };

  std::lock_guard lock(impl_->mutex);
  TenantAccount& accounts = impl_->tenants[state->tenant];
  state->among_others = !impl_->has_account(accounts, state->user, now);
  Account& whole = accounts.whole;
  Account& own = state->among_others ? accounts.others : accounts.users[state->user];
  auto refuse = [&](ApiError code, double seconds, std::string message) {
    retry_after_seconds = std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(seconds)));
    return api_error(code,
                     std::move(message) + " Try again in " + std::to_string(retry_after_seconds) + " s.");
  };
  struct Side {
    Account& account;
    const Rates& rates;
    const char* whose;
  };
  for (Side side : {Side{whole, tenant_rates, "tenant"}, Side{own, user_rates, "user"}}) {
    side.account.requests.refill(side.rates.requests, now);
    side.account.tokens.refill(side.rates.tokens, now);
    std::string whose = std::string("of this ") + side.whose;
    if (side.account.running >= side.rates.concurrent) {
      return refuse(
          ApiError::TooManyConcurrent, 1,
          "Too many requests " + whose + " at once (limit " + std::to_string(side.rates.concurrent) + ").");
    }
    if (double wait = side.account.requests.seconds_until(1); wait > 0) {
      return refuse(ApiError::RateLimited, wait, "Request limit " + whose + " reached.");
    }
    // What costs no tokens is not held up by those that were overdrawn.
    if (estimated_tokens == 0) continue;
    if (double wait = side.account.tokens.seconds_until(token_need(side.rates)); wait > 0) {
      return refuse(ApiError::RateLimited, wait, "Token limit " + whose + " reached.");
    }
  }
  // An estimate is no use: it never costs more than a minute's tokens.
  state->charged_to_tenant = std::min(estimate, tenant_rates.tokens);
  state->charged_to_user = std::min(estimate, user_rates.tokens);
  whole.tokens.left -= state->charged_to_tenant;
  own.tokens.left -= state->charged_to_user;
  for (Account* account : {&whole, &own}) {
    account->requests.left -= 1;
    ++account->running;
  }
  state->limiter = impl_;
  state->requests = tighter(whole.requests, own.requests);
  state->tokens = tighter(whole.tokens, own.tokens);
  Admission admission;
  admission.state_ = std::move(state);
  return admission;
}

void Limiter::Admission::use(std::int64_t tokens) {
  if (!state_) return;
  state_->used += static_cast<double>(tokens);
  const double charged = std::min(state_->charged_to_tenant, state_->charged_to_user);
  if (state_->used - charged >= kChargeStep) {
    state_->each_account([used = state_->used](Account& account, double& before) {
      if (used <= before) return;
      account.tokens.left -= used - before;
      before = used;
    });
  }
}

void Limiter::Admission::settle() {
  if (state_) state_->charge_what_was_used();
}

void Limiter::Admission::add_headers(http::Headers& headers) const {
  if (!state_) return;
  auto add = [&headers](const std::string& kind, const Standing& standing) {
    auto whole = [](double value) { return std::to_string(static_cast<std::int64_t>(value)); };
    headers.set("x-ratelimit-limit-" + kind, whole(standing.per_minute));
    headers.set("x-ratelimit-remaining-" + kind, whole(std::max(0.0, standing.left)));
    headers.set("x-ratelimit-reset-" + kind,
                duration_text((standing.per_minute - standing.left) * 60 / standing.per_minute));
  };
  add("requests", state_->requests);
  add("tokens", state_->tokens);
}

void Limiter::forget(const base::TenantId& tenant) {
  std::lock_guard lock(impl_->mutex);
  impl_->tenants.erase(tenant.str());
}

}  // namespace bulkhead::gateway
