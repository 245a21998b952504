// Quotas: requests and tokens a minute, requests at once, per tenant and per user.
//
// Token buckets that refill continuously. A request is admitted against both its tenant's and its
// user's buckets or against neither. Tokens are charged by estimate on admission and settled by the
// engine's count when the request is over. Users are known by their tenant-scoped name only. A tenant's
// table of users is bounded: users whose buckets are full again are forgotten first, and those beyond the
// bound share one account, so that no number of names gets a tenant more than its users have, and none
// costs another tenant anything.
// Thread safety: all members from every thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "http/message.h"
#include "tenancy/tenant.h"

namespace bulkhead::gateway {

class Limiter {
 public:
  explicit Limiter(const base::Clock& clock, std::size_t users_of_a_tenant_max = 10'000);
  ~Limiter();

  // A running request. Gives its concurrency back when destroyed.
  class Admission {
   public:
    Admission();
    Admission(Admission&&) noexcept;
    Admission& operator=(Admission&&) noexcept;
    ~Admission();
    // Charges `tokens` instead of what was estimated.
    void settle(std::int64_t tokens);
    // OpenAI's x-ratelimit-* headers, of whichever of tenant and user has less left.
    void add_headers(http::Headers& headers) const;

   private:
    friend class Limiter;
    struct State;
    std::unique_ptr<State> state_;
  };

  // RateLimited or TooManyConcurrent with "retry-after" seconds in `retry_after`.
  base::Result<Admission> admit(const tenancy::Tenant& tenant, std::string_view user,
                                std::int64_t estimated_tokens, std::int64_t& retry_after_seconds);
  void forget(const base::TenantId& tenant);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace bulkhead::gateway
