// expect: (no matching function for call to 'construct_at'|calling a private constructor|no matching constructor)
// Nor through a library's factory.
#include <memory>

#include "identity/principal.h"

using bulkhead::identity::Principal;

std::shared_ptr<const Principal> shared(const Principal& verified) {
#ifdef MISUSE
  return std::make_shared<const Principal>();
#else
  return std::make_shared<const Principal>(verified);
#endif
}
