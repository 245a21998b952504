// Whether a token is an access token that whoever holds it may use (RFC 6750): ID tokens, refresh and logout
// tokens are for others, and a sender-constrained one (RFC 7800, 8705, 9449) is worth nothing without a proof
// that is not asked for here. Pure functions, thread safe.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "identity/error.h"

namespace bulkhead::identity {

// Errors: NotAccessToken, SenderConstrained; the parameter names the claim that says so.
base::Result<void> check_token_kind(const base::json::Value& claims);

// The token says by claims of its own that it is an access token: for issuers whose headers have no `typ`,
// Amazon Cognito (`token_use`) and Okta (`cid` beside a list `scp`, which its ID tokens don't have).
bool says_access_token(const base::json::Value& claims);

}  // namespace bulkhead::identity
