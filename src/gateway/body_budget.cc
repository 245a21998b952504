#include "gateway/body_budget.h"

#include <list>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "gateway/api_error.h"
#include "http/reactor.h"

namespace bulkhead::gateway {

using base::Error;
using base::Result;
using base::Task;

namespace {

// Chats, searches and settings are below it, documents above.
constexpr std::size_t kSmallBytesMax = 1 << 20;

bool is_large(std::size_t bytes) { return bytes > kSmallBytesMax; }

// A budget, of which large bodies may fill a part only.
struct Account {
  std::size_t used = 0;
  std::size_t large = 0;  // of those

  bool has_room(std::size_t bytes, std::size_t bytes_max) const {
    const std::size_t large_max = bytes_max - bytes_max / 4;
    return used + bytes <= bytes_max && (!is_large(bytes) || large + bytes <= large_max);
  }
  void take(std::size_t bytes) {
    used += bytes;
    if (is_large(bytes)) large += bytes;
  }
  void give_back(std::size_t bytes) {
    used -= bytes;
    if (is_large(bytes)) large -= bytes;
  }
};

struct Waiter {
  std::string account;
  std::size_t bytes;
  bool granted = false;
  base::CancelToken wake;
};

Error no_room(bool in_tenant) {
  if (in_tenant) {
    return api_error(
        ApiError::TenantBodiesBusy,
        "The requests of your tenant that are under way carry as much as they may at once. Wait for "
        "some to end, then try again.");
  }
  return api_error(ApiError::BodiesBusy,
                   "The gateway is receiving as much as it can keep at once. Try again in a few seconds.");
}

}  // namespace

struct BodyBudget::Impl {
  explicit Impl(Limits l) : limits(l) {}
  const Limits limits;
  mutable std::mutex mutex;
  Account whole;
  std::unordered_map<std::string, Account> accounts;
  std::list<Waiter> waiters;

  bool fits_tenant(const std::string& account, std::size_t bytes) const {
    const auto found = accounts.find(account);
    return (found == accounts.end() ? Account() : found->second).has_room(bytes, limits.tenant_bytes_max);
  }
  bool fits_whole(std::size_t bytes) const { return whole.has_room(bytes, limits.bytes_max); }
  void take(const std::string& account, std::size_t bytes) {
    whole.take(bytes);
    accounts[account].take(bytes);
  }
  void put_back(const std::string& account, std::size_t bytes) {
    whole.give_back(bytes);
    const auto found = accounts.find(account);
    found->second.give_back(bytes);
    if (found->second.used == 0) accounts.erase(found);
  }

  void give_back(const std::string& account, std::size_t bytes) {
    std::vector<base::CancelToken> woken;
    {
      std::lock_guard lock(mutex);
      put_back(account, bytes);
      woken = grant();
    }
    // Not under the lock: what runs on the wake is not ours.
    for (const base::CancelToken& wake : woken) wake.cancel("granted");
  }

  // The end of a wait: whether it was granted, and else whether it was the tenant's budget that had no room.
  bool leave(std::list<Waiter>::iterator place, bool& in_tenant) {
    std::vector<base::CancelToken> woken;
    bool granted = false;
    {
      std::lock_guard lock(mutex);
      granted = place->granted;
      in_tenant = !fits_tenant(place->account, place->bytes);
      waiters.erase(place);
      if (!granted) woken = grant();  // it may have held others up
    }
    for (const base::CancelToken& wake : woken) wake.cancel("granted");
    return granted;
  }

  // Whoever fits, in the order of coming. A body for which the gateway has no room holds up later ones of its
  // size, so that those don't pass it for ever; one whose own tenant has none holds up nobody.
  std::vector<base::CancelToken> grant() {
    std::vector<base::CancelToken> woken;
    bool held_up[2] = {false, false};
    for (Waiter& waiter : waiters) {
      bool& held_up_too = held_up[is_large(waiter.bytes)];
      if (waiter.granted || held_up_too || !fits_tenant(waiter.account, waiter.bytes)) continue;
      if (!fits_whole(waiter.bytes)) {
        held_up_too = true;
        continue;
      }
      take(waiter.account, waiter.bytes);
      waiter.granted = true;
      woken.push_back(waiter.wake);
    }
    return woken;
  }
};

struct BodyBudget::Share::State {
  std::shared_ptr<Impl> budget;
  std::string account;
  std::size_t bytes;
  ~State() { budget->give_back(account, bytes); }
};

BodyBudget::Share::Share() = default;
BodyBudget::Share::Share(Share&&) noexcept = default;
BodyBudget::Share& BodyBudget::Share::operator=(Share&&) noexcept = default;
BodyBudget::Share::~Share() = default;

BodyBudget::BodyBudget(Limits limits) : impl_(std::make_shared<Impl>(limits)) {}
BodyBudget::~BodyBudget() = default;

Task<Result<BodyBudget::Share>> BodyBudget::reserve(std::string account, std::size_t bytes,
                                                    base::CancelToken cancel) {
  std::shared_ptr<Impl> impl = impl_;
  std::list<Waiter>::iterator place;
  bool taken = false;
  {
    std::lock_guard lock(impl->mutex);
    place = impl->waiters.insert(impl->waiters.end(), Waiter{account, bytes, false, {}});
    // Nothing was given back, so nobody but the newcomer can be granted anything.
    impl->grant();
    taken = place->granted;
    if (taken) impl->waiters.erase(place);
  }
  bool in_tenant = false;
  if (!taken) {
    const base::CancelToken wake = place->wake;
    const auto gone = cancel.on_cancel([wake] { wake.cancel("gone"); });
    const bool waited_out = co_await http::Reactor::current()->sleep(impl->limits.wait_max, wake);
    static_cast<void>(waited_out);
    taken = impl->leave(place, in_tenant);
  }
  if (!taken && cancel.cancelled()) {
    co_return Error(http::HttpError::Cancelled, "The request was given up while its body waited for room.");
  }
  if (!taken) co_return no_room(in_tenant);
  Share share;
  share.state_.reset(new Share::State{impl, std::move(account), bytes});
  co_return share;
}

Result<void> BodyBudget::Share::grow(std::size_t bytes) {
  if (!state_ || bytes <= state_->bytes) return Result<void>();
  Impl& impl = *state_->budget;
  std::lock_guard lock(impl.mutex);
  // What it has moves with it from the small bodies to the large ones.
  impl.put_back(state_->account, state_->bytes);
  const bool in_tenant = impl.fits_tenant(state_->account, bytes);
  const bool fits = in_tenant && impl.fits_whole(bytes);
  if (fits) state_->bytes = bytes;
  impl.take(state_->account, state_->bytes);
  if (fits) return Result<void>();
  return no_room(!in_tenant);
}

std::size_t BodyBudget::bytes_reserved() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->whole.used;
}

std::size_t BodyBudget::waiting() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->waiters.size();
}

}  // namespace bulkhead::gateway
