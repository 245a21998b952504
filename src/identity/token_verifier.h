// Claims of a token against an issuer's rules (RFC 7519, 8725, 9068). Pure functions: keys and time
// come in, a Principal or a reason goes out.
#pragma once

#include <memory>

#include "base/clock.h"
#include "base/result.h"
#include "identity/issuer_config.h"
#include "identity/principal.h"
#include "identity/token.h"
#include "identity/user_names.h"

namespace bulkhead::identity {

// What can be checked before the key is fetched: algorithm and type against the issuer's lists.
base::Result<void> check_header(const UnverifiedToken& token, const IssuerConfig& issuer);

// `token`'s signature has been verified with a key of `issuer`.
base::Result<std::shared_ptr<const Principal>> principal_from_verified(const UnverifiedToken& token,
                                                                       const IssuerConfig& issuer,
                                                                       const UserNames& names,
                                                                       const base::Clock& clock);

}  // namespace bulkhead::identity
