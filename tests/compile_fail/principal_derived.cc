// expect: base class 'Principal' has private default constructor
// A derived class is no way in.
#include "identity/principal.h"

using bulkhead::identity::Principal;

struct Mine : Principal {
#ifdef MISUSE
  Mine() {}
#else
  explicit Mine(const Principal& verified) : Principal(verified) {}
#endif
};

std::string user_of(const Principal& verified) {
#ifdef MISUSE
  return Mine().user() + verified.user();
#else
  return Mine(verified).user();
#endif
}
