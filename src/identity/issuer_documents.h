// What an issuer publishes: OpenID Connect discovery 1.0 and the key set (RFC 7517), fetched without
// redirects, within bounds of bytes and time, over https or over http to loopback where the configuration
// allows it.
//
// Errors: IssuerUnavailable; its detail is for the operator. Thread safety: all members from every thread;
// awaited on a reactor.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/task.h"
#include "http/client.h"
#include "identity/error.h"
#include "identity/issuer_config.h"
#include "identity/key_work.h"

namespace bulkhead::identity {

// An address that documents may be fetched from; else an error whose detail goes on from its name
// ("is plain http…").
base::Result<http::Url> usable_address(std::string_view address, bool allow_http);

// A request's Host (RFC 9110 section 7.2): the port only where it is not the scheme's own.
std::string host_header(const http::Url& url);

class IssuerDocuments {
 public:
  // `config` must outlive it.
  IssuerDocuments(const IssuerConfig& config, std::shared_ptr<KeyWork> work);
  // From the configuration or from discovery.
  base::Task<base::Result<std::string>> jwks_address(base::CancelToken cancel) const;
  // The key set's text, within KeyWork's time.
  base::Task<base::Result<std::string>> key_set() const;
  base::Error unavailable(std::string detail) const;

 private:
  base::Task<base::Result<std::string>> get(std::string address, base::CancelToken cancel) const;
  const IssuerConfig& config_;
  std::shared_ptr<KeyWork> work_;
};

}  // namespace bulkhead::identity
