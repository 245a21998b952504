// BodyBudget: the memory that requests' bodies may take, of the whole gateway and of one tenant.
//
// A body's bytes are reserved before any of them is read and given back when its request is over. Where
// there is no room a request waits, within a bound, while its body stays with the client. Large bodies
// (uploads) get three quarters of either budget at most, so that they don't keep small ones (chats) out; of
// large ones, who came first goes first, unless its own tenant's share is what is used up.
//
// Thread safety: all members from every thread; `reserve` is awaited on a reactor.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/task.h"

namespace bulkhead::gateway {

class BodyBudget {
 public:
  struct Limits {
    std::size_t bytes_max = 512u << 20;         // of all bodies
    std::size_t tenant_bytes_max = 128u << 20;  // of one tenant's
    std::chrono::milliseconds wait_max{5'000};
  };
  explicit BodyBudget(Limits limits);
  ~BodyBudget();

  // What one request has reserved. Given back when destroyed.
  class Share {
   public:
    Share();
    Share(Share&&) noexcept;
    Share& operator=(Share&&) noexcept;
    ~Share();
    // `bytes` in all from now on, without waiting: who already holds memory must not wait for others who do.
    base::Result<void> grow(std::size_t bytes);

   private:
    friend class BodyBudget;
    struct State;
    std::unique_ptr<State> state_;
  };

  // `account`: the tenant's name; all operators have one together. Errors: ApiError::BodiesBusy (the
  // gateway's budget), TenantBodiesBusy (the tenant's own), HttpError::Cancelled.
  base::Task<base::Result<Share>> reserve(std::string account, std::size_t bytes, base::CancelToken cancel);

  std::size_t bytes_reserved() const;
  std::size_t waiting() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace bulkhead::gateway
