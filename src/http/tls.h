// TLS for server and client, OpenSSL behind a wall. TLS 1.2 with AEAD suites and 1.3; no
// compression, no renegotiation, no session tickets or cache kept between connections (they would
// outlive the request). OpenSSL's buffers are released when idle, so that the wiping allocator
// clears them. Thread safety: contexts are immutable and shared.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/result.h"

namespace bulkhead::http {

class TlsContext {
 public:
  // PEM chain and key; the key file must be 0600 (base::read_secret_file).
  static base::Result<std::shared_ptr<TlsContext>> server(const std::filesystem::path& certificate,
                                                          const std::filesystem::path& key);
  // Verifies the peer's certificate and name; `ca_file` empty means the system's roots.
  static base::Result<std::shared_ptr<TlsContext>> client(const std::filesystem::path& ca_file);
  ~TlsContext();

  struct Impl;
  const Impl& impl() const { return *impl_; }
  explicit TlsContext(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
};

// Writes a development CA and a server certificate for localhost, 127.0.0.1 and ::1 (P-256,
// 90 days) as ca.pem, cert.pem, key.pem into `folder`, unless valid ones are there. Re-made when
// fewer than 7 days are left.
base::Result<void> ensure_development_certificate(const std::filesystem::path& folder);

}  // namespace bulkhead::http
