// What can be wrong with a credential. The caller is told "invalid credentials" with the kind of
// mistake where that helps an honest client (expired, wrong audience); never which part of a key
// matched. The code goes to the audit record and the metrics, with the claim at fault, which is the error's
// parameter; its detail says what was expected, for the operator.
#pragma once

#include "base/error.h"

namespace bulkhead::identity {

enum class IdentityError {
  Missing,  // no Authorization header
  NotBearer,
  Malformed,         // not a JWS compact token, nor an API key
  AlgorithmRefused,  // not on the issuer's list; "none"; HMAC
  HeaderRefused,     // crit, jku, x5u, embedded jwk, wrong typ
  IssuerUnknown,
  KeyUnknown,  // kid in no current key set
  SignatureInvalid,
  NotAccessToken,     // an ID, refresh or logout token
  SenderConstrained,  // cnf: a bearer token it is not
  Expired,
  NotYetValid,
  AudienceWrong,
  ClientWrong,     // of none of the issuer's client_ids
  ClaimMissing,    // iss, aud, exp, sub, tenant
  ClaimInvalid,    // wrong type or out of bounds
  ClaimElsewhere,  // roles or groups that the token only refers to
  TenantUnknown,
  TenantAmbiguous,    // several organisations, and none chosen
  TenantNotOfIssuer,  // the issuer may not speak for this tenant
  TenantSuspended,
  IssuerUnavailable,  // key set could not be had, or is staler than allowed
  IssuerBusy,         // many signatures of its costly keys wait to be checked
  ApiKeyUnknown,      // also: wrong, revoked, expired
};
base::ErrorName error_name(IdentityError code);

}  // namespace bulkhead::identity
