// Principal: who is asking, as proven by a verified credential. Only identity's verifiers can make
// one; a test proves that nothing else compiles.
//
// A principal is either of a tenant (`tenant()` set) or the platform's operator (`tenant()` empty,
// `is_operator()`); an operator has no tenant and can therefore never open a TenantScope
// (invariants I1, I2, I10).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"

namespace bulkhead::identity {

enum class CredentialKind { Jwt, ApiKey };

class Principal {
 public:
  const std::optional<base::TenantId>& tenant() const { return tenant_; }
  bool is_operator() const { return operator_; }
  // The platform itself at work on a tenant's store (identity/upkeep_principal.h).
  bool is_upkeep() const { return upkeep_; }
  const std::string& user() const { return user_; }  // sub, or the API key's user
  const std::vector<std::string>& roles() const { return roles_; }
  const std::vector<std::string>& groups() const { return groups_; }
  CredentialKind credential() const { return credential_; }
  const std::string& credential_id() const { return credential_id_; }  // jti or API key id; may be ""
  const std::string& issuer() const { return issuer_; }                // "" for API keys
  // What stays the same while a token is renewed: the client it was given to (`azp` or `client_id`)
  // and the login it belongs to (`sid`). "" where the issuer doesn't say, and for API keys.
  const std::string& client() const { return client_; }
  const std::string& login() const { return login_; }
  std::int64_t expires_unix_seconds() const { return expires_; }  // 0: does not expire by itself

 private:
  friend class PrincipalFactory;  // identity's own; see principal_factory.h
  Principal() = default;

  std::optional<base::TenantId> tenant_;
  bool operator_ = false;
  bool upkeep_ = false;
  std::string user_;
  std::vector<std::string> roles_;
  std::vector<std::string> groups_;
  CredentialKind credential_ = CredentialKind::Jwt;
  std::string credential_id_;
  std::string issuer_;
  std::string client_, login_;
  std::int64_t expires_ = 0;
};

}  // namespace bulkhead::identity
