// Inside crypto only: libsodium must be started before its first use.
#pragma once

#include <sodium.h>

#include <cstdlib>

namespace bulkhead::crypto {

inline void start_sodium() {
  static const bool started = sodium_init() >= 0;
  if (!started) std::abort();
}

}  // namespace bulkhead::crypto
