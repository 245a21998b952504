// OpenSSL's context; included by tls*.cc only.
#pragma once

#include <openssl/ssl.h>

#include <memory>

#include "http/tls.h"

namespace bulkhead::http {

struct TlsContext::Impl {
  struct Free {
    void operator()(SSL_CTX* made) const { SSL_CTX_free(made); }
  };
  std::unique_ptr<SSL_CTX, Free> context;
  bool is_server = false;
};

namespace detail {
// The first entry of OpenSSL's error queue in words, and the queue emptied.
std::string openssl_failure();
}  // namespace detail

}  // namespace bulkhead::http
