// expect: no viable conversion from .*UnverifiedToken
// A token that was merely parsed is not a Principal.
#include "access/decision.h"
#include "identity/token.h"

using namespace bulkhead;

std::string read(const identity::UnverifiedToken& token, const identity::Principal& verified) {
#ifdef MISUSE
  identity::Principal who = token;
#else
  identity::Principal who = verified;
#endif
  return who.user() + token.key_id();
}
