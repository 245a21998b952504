// Quotas: requests and tokens a minute, requests at once, per tenant and per user.
//
// Token buckets that refill continuously. A request is admitted against both its tenant's and its
// user's buckets or against neither. Tokens are charged by estimate on admission, topped up while the request
// uses more, and settled by what it used when it is over, however it ended. What is used beyond the bucket
// is a debt: the request that made it goes on, and the account's next one waits until it is paid back. Users
// are known by their tenant-scoped name only. A tenant's table of users is bounded: users whose buckets are
// full again are forgotten first, and those beyond the bound share one account, so that no number of names
// gets a tenant more than its users have, and none costs another tenant anything. Thread safety: all members
// from every thread.
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

  // A running request. When destroyed it settles and gives its concurrency back. One request, one thread at a
  // time.
  class Admission {
   public:
    Admission();
    Admission(Admission&&) noexcept;
    Admission& operator=(Admission&&) noexcept;
    ~Admission();
    // Adds tokens that the request has used; fewer than none corrects what was added before. The accounts are
    // charged in steps, as soon as it is more than was estimated.
    void use(std::int64_t tokens);
    // Charges what was used so far in place of the estimate: before the answer's last byte, so that the
    // client's next request finds it.
    void settle();
    // OpenAI's x-ratelimit-* headers: for requests and for tokens the three values of one account, the
    // tenant's or the user's, whichever has less left.
    void add_headers(http::Headers& headers) const;

   private:
    friend class Limiter;
    struct State;
    std::unique_ptr<State> state_;
  };

  // RateLimited or TooManyConcurrent with "retry-after" seconds in `retry_after`. A request may be larger
  // than what is in a bucket of a minute's tokens: half a full bucket admits any.
  base::Result<Admission> admit(const tenancy::Tenant& tenant, std::string_view user,
                                std::int64_t estimated_tokens, std::int64_t& retry_after_seconds);
  void forget(const base::TenantId& tenant);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace bulkhead::gateway
