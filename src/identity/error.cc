#include "identity/error.h"

namespace bulkhead::identity {

base::ErrorName error_name(IdentityError code) {
  switch (code) {
    case IdentityError::Missing: return {"identity", "credential_missing"};
    case IdentityError::NotBearer: return {"identity", "not_bearer"};
    case IdentityError::Malformed: return {"identity", "token_malformed"};
    case IdentityError::AlgorithmRefused: return {"identity", "algorithm_refused"};
    case IdentityError::HeaderRefused: return {"identity", "token_header_refused"};
    case IdentityError::IssuerUnknown: return {"identity", "issuer_unknown"};
    case IdentityError::KeyUnknown: return {"identity", "key_unknown"};
    case IdentityError::SignatureInvalid: return {"identity", "signature_invalid"};
    case IdentityError::NotAccessToken: return {"identity", "not_access_token"};
    case IdentityError::SenderConstrained: return {"identity", "sender_constrained"};
    case IdentityError::Expired: return {"identity", "token_expired"};
    case IdentityError::NotYetValid: return {"identity", "token_not_yet_valid"};
    case IdentityError::AudienceWrong: return {"identity", "audience_wrong"};
    case IdentityError::ClientWrong: return {"identity", "client_wrong"};
    case IdentityError::ClaimMissing: return {"identity", "claim_missing"};
    case IdentityError::ClaimInvalid: return {"identity", "claim_invalid"};
    case IdentityError::ClaimElsewhere: return {"identity", "claim_elsewhere"};
    case IdentityError::TenantUnknown: return {"identity", "tenant_unknown"};
    case IdentityError::TenantAmbiguous: return {"identity", "tenant_ambiguous"};
    case IdentityError::TenantNotOfIssuer: return {"identity", "tenant_not_of_issuer"};
    case IdentityError::TenantSuspended: return {"identity", "tenant_suspended"};
    case IdentityError::IssuerUnavailable: return {"identity", "issuer_unavailable"};
    case IdentityError::IssuerBusy: return {"identity", "issuer_busy"};
    case IdentityError::ApiKeyUnknown: return {"identity", "api_key_unknown"};
  }
  return {"identity", "unknown"};
}

}  // namespace bulkhead::identity
