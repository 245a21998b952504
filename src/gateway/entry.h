// Entry: the phase of a request that needs its head alone.
//
//   credential → tenant scope → limits → permission
//
// Limits come before the permission, so that refusals draw from them as everything else does. It is over
// before a byte of the body is kept, so who may not ask costs no memory and no handler's work (invariants I1,
// I2). Thread safety: every thread; `enter` and `confirm` are awaited on a reactor.
#pragma once

#include "base/task.h"
#include "gateway/authentication_throttle.h"
#include "gateway/call.h"
#include "gateway/services.h"

namespace bulkhead::gateway {

class Entry {
 public:
  explicit Entry(Services& services)
      : services_(services),
        throttle_(services.clock, services.config.server.failed_authentications_per_minute) {}

  // Fills the call's principal, scope, admission and the record's members about them. After an error
  // `call.retry_after` says when to try again, if that helps.
  base::Task<base::Result<void>> enter(Call& call);
  // Once more, without the limits, for a request whose body took its time: a key that was revoked or a
  // token that ran out meanwhile does not act any more.
  base::Task<base::Result<void>> confirm(Call& call);

 private:
  base::Task<base::Result<void>> authenticate(Call& call);
  base::Task<base::Result<void>> verify(Call& call, std::string authorization);
  base::Result<void> open_at_once(Call& call) const;
  base::Task<base::Result<void>> ask_for_key(Call& call) const;
  static void describe(Call& call);
  base::Result<void> authorize(Call& call) const;
  base::Result<void> check_tenant_claims(const Call& call) const;
  base::Result<void> admit(Call& call) const;

  Services& services_;
  AuthenticationThrottle throttle_;
};

}  // namespace bulkhead::gateway
