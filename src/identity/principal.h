// Principal: who is asking, as proven by a verified credential. Only identity's verifiers can make
// one; a test proves that nothing else compiles.
//
// A principal is either of a tenant (`tenant()` set) or the platform's operator (`tenant()` empty,
// `is_operator()`); an operator has no tenant and can therefore never open a TenantScope
// (invariants I1, I2, I10). Its user is an issuer and a subject of it (user_id.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
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
  const std::string& user() const { return user_; }  // user id; "": nobody
  // Whether a record that names `stored` as a user names this one: by the user id or, where the principal's
  // issuer is the tenant's legacy issuer, by the subject alone.
  bool is_user(std::string_view stored) const {
    if (user_.empty() || stored.empty()) return false;
    return stored == user_ || stored == earlier_user_;
  }
  // All that `is_user` takes; none for nobody.
  std::vector<std::string> stored_users() const {
    std::vector<std::string> forms;
    if (!user_.empty()) forms.push_back(user_);
    if (!user_.empty() && !earlier_user_.empty()) forms.push_back(earlier_user_);
    return forms;
  }
  const std::string& user_issuer() const { return user_issuer_; }  // of the user; "": a local user
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
  std::string user_, user_issuer_;
  std::string earlier_user_;  // never has the form of a user id
  std::vector<std::string> roles_;
  std::vector<std::string> groups_;
  CredentialKind credential_ = CredentialKind::Jwt;
  std::string credential_id_;
  std::string issuer_;
  std::string client_, login_;
  std::int64_t expires_ = 0;
};

}  // namespace bulkhead::identity
