// expect: calling a private constructor of class 'bulkhead::identity::Principal'
// Nobody makes a Principal; one is read from what identity verified.
#include "identity/authenticator.h"

using bulkhead::identity::Principal;

std::string user_of(const std::shared_ptr<const Principal>& verified) {
#ifdef MISUSE
  Principal made;
  return made.user();
#else
  return verified->user();
#endif
}
