// Whether this build is instrumented by AddressSanitizer or ThreadSanitizer. Both map terabytes of shadow
// memory, on demand and at fixed places, so a bound on the address space ends such a process at once.
#pragma once

namespace bulkhead::base {

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kInstrumented = true;
#else
inline constexpr bool kInstrumented = false;
#endif

}  // namespace bulkhead::base
