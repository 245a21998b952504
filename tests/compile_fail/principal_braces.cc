// expect: calling a private constructor of class 'bulkhead::identity::Principal'
// Not by braces either: a class with a declared constructor is no aggregate.
#include "identity/principal.h"

using bulkhead::identity::Principal;

Principal copy_of(const Principal& verified) {
#ifdef MISUSE
  return Principal{};
#else
  return Principal{verified};
#endif
}
