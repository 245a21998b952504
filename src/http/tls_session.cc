#include "http/detail/tls_session.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "http/detail/tls_context_impl.h"

namespace bulkhead::http::detail {

namespace {

constexpr std::size_t kPlainPieceBytes = 16 << 10;

// Where OpenSSL's reads and writes go during one call.
struct Wire {
  Buffer* in = nullptr;
  std::string* out = nullptr;
};

int wire_write(BIO* bio, const char* data, int bytes) {
  auto* wire = static_cast<Wire*>(BIO_get_data(bio));
  if (!wire->out || bytes <= 0) return -1;
  wire->out->append(data, static_cast<std::size_t>(bytes));
  return bytes;
}

int wire_read(BIO* bio, char* data, int bytes) {
  auto* wire = static_cast<Wire*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (!wire->in || wire->in->empty() || bytes <= 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const std::size_t take = std::min(wire->in->size(), static_cast<std::size_t>(bytes));
  std::copy_n(wire->in->view().data(), take, data);
  wire->in->consume(take);
  return static_cast<int>(take);
}

long wire_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

BIO_METHOD* wire_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "bulkhead wire");
    BIO_meth_set_write(made, wire_write);
    BIO_meth_set_read(made, wire_read);
    BIO_meth_set_ctrl(made, wire_control);
    return made;
  }();
  return method;
}

}  // namespace

struct TlsSession::Impl {
  struct Free {
    void operator()(SSL* made) const { SSL_free(made); }
  };
  std::shared_ptr<const TlsContext> context;
  Wire wire;
  std::unique_ptr<SSL, Free> ssl;
  std::string failure;

  TlsSession::Step classify(int returned) {
    switch (SSL_get_error(ssl.get(), returned)) {
      case SSL_ERROR_WANT_READ:
      case SSL_ERROR_WANT_WRITE: return Step::WantInput;
      case SSL_ERROR_ZERO_RETURN: return Step::Closed;
      default: break;
    }
    failure = openssl_failure();
    return Step::Failed;
  }
};

namespace {

std::unique_ptr<TlsSession::Impl> make_impl(std::shared_ptr<const TlsContext> context) {
  auto impl = std::make_unique<TlsSession::Impl>();
  impl->context = std::move(context);
  impl->ssl.reset(SSL_new(impl->context->impl().context.get()));
  BIO* bio = BIO_new(wire_method());
  if (!impl->ssl || !bio) {
    BIO_free(bio);
    return nullptr;
  }
  BIO_set_data(bio, &impl->wire);
  BIO_set_init(bio, 1);
  SSL_set_bio(impl->ssl.get(), bio, bio);
  return impl;
}

bool is_address(const std::string& host) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, host.c_str(), bytes) == 1 || inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

}  // namespace

TlsSession::TlsSession(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsSession::~TlsSession() = default;

std::unique_ptr<TlsSession> TlsSession::accept(std::shared_ptr<const TlsContext> context) {
  auto impl = make_impl(std::move(context));
  if (!impl) return nullptr;
  SSL_set_accept_state(impl->ssl.get());
  return std::make_unique<TlsSession>(std::move(impl));
}

std::unique_ptr<TlsSession> TlsSession::connect(std::shared_ptr<const TlsContext> context,
                                                const std::string& host) {
  auto impl = make_impl(std::move(context));
  if (!impl) return nullptr;
  SSL* ssl = impl->ssl.get();
  X509_VERIFY_PARAM* verify = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  bool named = false;
  if (is_address(host)) {
    named = X509_VERIFY_PARAM_set1_ip_asc(verify, host.c_str()) == 1;
  } else {
    named = SSL_set1_host(ssl, host.c_str()) == 1 && SSL_set_tlsext_host_name(ssl, host.c_str()) == 1;
  }
  if (!named) return nullptr;
  SSL_set_connect_state(ssl);
  return std::make_unique<TlsSession>(std::move(impl));
}

TlsSession::Step TlsSession::handshake(Buffer& in, std::string& out) {
  impl_->wire = {&in, &out};
  ERR_clear_error();
  const int done = SSL_do_handshake(impl_->ssl.get());
  const Step step = done == 1 ? Step::Done : impl_->classify(done);
  if (step == Step::Failed && !impl_->context->impl().is_server) {
    const long verdict = SSL_get_verify_result(impl_->ssl.get());
    if (verdict != X509_V_OK) impl_->failure = X509_verify_cert_error_string(verdict);
  }
  impl_->wire = {};
  return step;
}

TlsSession::Step TlsSession::decrypt(Buffer& in, Buffer& plain, std::size_t plain_bytes_max,
                                     std::string& out) {
  impl_->wire = {&in, &out};
  ERR_clear_error();
  Step step = Step::Done;
  while (plain.size() < plain_bytes_max) {
    const std::span<char> room =
        plain.prepare(in.size() < kPlainPieceBytes / 4 ? kPlainPieceBytes / 4 : kPlainPieceBytes);
    std::size_t got = 0;
    const int read = SSL_read_ex(impl_->ssl.get(), room.data(), room.size(), &got);
    if (read != 1) {
      step = impl_->classify(read);
      break;
    }
    plain.commit(got);
  }
  impl_->wire = {};
  return step;
}

bool TlsSession::encrypt(std::string_view plain, std::string& out) {
  impl_->wire = {nullptr, &out};
  ERR_clear_error();
  bool good = true;
  while (good && !plain.empty()) {
    std::size_t written = 0;
    const int done = SSL_write_ex(impl_->ssl.get(), plain.data(), plain.size(), &written);
    good = done == 1;
    if (good) {
      plain.remove_prefix(written);
    } else {
      impl_->classify(done);
    }
  }
  impl_->wire = {};
  return good;
}

void TlsSession::close_notify(std::string& out) {
  impl_->wire = {nullptr, &out};
  ERR_clear_error();
  SSL_shutdown(impl_->ssl.get());
  ERR_clear_error();
  impl_->wire = {};
}

std::string TlsSession::failure() const { return impl_->failure; }

}  // namespace bulkhead::http::detail
