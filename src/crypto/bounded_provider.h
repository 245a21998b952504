// BoundedProvider: a key provider whose calls may hang, behind a thread of its own and a time limit.
//
// PKCS#11 knows no time limits: a module whose token or network does not answer keeps its caller for as
// long as it likes. Here one thread makes the calls, one after the other, and callers wait for no longer
// than `call_time_max`, queueing included. A call that is late is given up, not ended: it can't be. While it
// still hangs, everybody else is told so at once, so that a token that does not answer costs its waiters
// one time limit and nobody after them anything.
//
// Errors: KeyProviderError::Unavailable for what was late; otherwise the inner provider's own.
// Ownership: shares the inner provider. The destructor waits for a running call until its limit; a thread
// that hangs beyond it is left behind with what it holds.
// Thread safety: all members from every thread.
#pragma once

#include <chrono>
#include <memory>
#include <thread>

#include "crypto/key_provider.h"

namespace bulkhead::crypto {

class BoundedProvider final : public KeyProvider {
 public:
  BoundedProvider(std::shared_ptr<KeyProvider> inner, std::chrono::milliseconds call_time_max);
  ~BoundedProvider() override;
  std::string describe() const override;
  base::Result<base::Bytes> wrap(const base::Secret& key, std::string_view associated) override;
  base::Result<base::Secret> unwrap(base::ByteView box, std::string_view associated) override;

 private:
  struct State;
  std::shared_ptr<State> state_;
  std::thread thread_;
};

}  // namespace bulkhead::crypto
