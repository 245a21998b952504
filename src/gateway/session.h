// Engine sessions: the name under which an engine may keep what it computed for a later request
// (invariant I5). It follows from the tenant's policy and the verified credential, never from a body.
//
//   off      the request's own id: nothing can meet it again
//   session  a keyed hash over the credential: an API key's id with its user; for tokens issuer, subject,
//            client and login (`azp` or `client_id`, `sid`), since a token itself is renewed all the time
//   tenant   one fixed name
//
// The hash is HMAC-SHA-256 under the tenant's SessionId key, every part with its length, so a name says
// nothing about its user and differs between tenants. Pure functions; any thread.
#pragma once

#include <string>

#include "base/ids.h"
#include "tenancy/scope.h"

namespace bulkhead::gateway {

std::string session_of(const tenancy::TenantScope& scope, const base::RequestId& request);

// The session of an API key, for ending it when the key is revoked.
std::string api_key_session(const tenancy::TenantScope& scope, const std::string& user,
                            const base::ApiKeyId& key);

}  // namespace bulkhead::gateway
