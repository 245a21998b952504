// A small real OpenID issuer for demos and tests: discovery, JWKS, a client-credentials token
// endpoint (RFC 6749 section 4.4) that issues RFC 9068 access tokens, and key rotation (old and new
// key stand in the JWKS together until the old one's tokens have expired).
// Refused outside development mode, by its caller.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "http/reactor.h"
#include "http/server.h"

namespace bulkhead::identity {

struct DevClient {
  std::string client_id;
  base::Secret client_secret;
  std::string subject;  // `sub`
  std::string tenant;   // empty: no tenant claim
  std::vector<std::string> roles;
  std::vector<std::string> groups;
};

struct DevIdpOptions {
  http::ListenAddress address;
  std::shared_ptr<http::TlsContext> tls;  // none: plain HTTP, loopback only
  std::string issuer;                     // empty: http(s)://127.0.0.1:<port>
  std::string audience = "bulkhead";
  std::string algorithm = "ES256";  // any of the accepted ones
  std::chrono::seconds token_lifetime{3600};
  std::vector<DevClient> clients;
  std::string rotation_secret;  // bearer for POST /dev/rotate; empty: no such endpoint
};

class DevIdp {
 public:
  static base::Result<std::unique_ptr<DevIdp>> start(http::ReactorPool& reactors, DevIdpOptions options,
                                                     const base::Clock& clock);
  ~DevIdp();
  std::string issuer() const;
  std::string token_url() const;
  void rotate_keys();

 private:
  struct Impl;
  explicit DevIdp(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::identity
