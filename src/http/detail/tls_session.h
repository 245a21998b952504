// One TLS connection's state machine over buffers of ours; does no I/O itself. OpenSSL stays in
// tls*.cc.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "http/detail/buffer.h"
#include "http/tls.h"

namespace bulkhead::http::detail {

class TlsSession {
 public:
  // `host` (client only): the name or address that the peer's certificate must carry.
  static std::unique_ptr<TlsSession> accept(std::shared_ptr<const TlsContext> context);
  static std::unique_ptr<TlsSession> connect(std::shared_ptr<const TlsContext> context,
                                             const std::string& host);
  ~TlsSession();

  enum class Step { Done, WantInput, Closed, Failed };
  // Takes ciphertext from `in`; what must be sent is appended to `out`, also after a failure (an
  // alert).
  Step handshake(Buffer& in, std::string& out);
  // Appends all plaintext there is to `plain`, as long as that stays below `plain_bytes_max`.
  // WantInput: everything was taken. Done: stopped at the bound.
  Step decrypt(Buffer& in, Buffer& plain, std::size_t plain_bytes_max, std::string& out);
  bool encrypt(std::string_view plain, std::string& out);
  void close_notify(std::string& out);

  std::string failure() const;  // for the operator

  struct Impl;
  explicit TlsSession(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::http::detail
