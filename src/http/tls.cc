#include "http/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstring>

#include "base/file.h"
#include "base/secret.h"
#include "http/detail/tls_context_impl.h"
#include "http/message.h"

namespace bulkhead::http {

namespace detail {

std::string openssl_failure() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "no reason given by the TLS library";
  char text[256];
  ERR_error_string_n(code, text, sizeof(text));
  return text;
}

}  // namespace detail

namespace {

constexpr std::size_t kPemBytesMax = 1 << 20;
// RFC 9325: forward secrecy and AEAD only.
constexpr const char* kTls12Suites =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr unsigned char kAlpn[] = "\x08http/1.1";
constexpr unsigned kAlpnBytes = sizeof(kAlpn) - 1;

struct BioFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct KeyFree {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

base::Error tls_error(std::string message, std::string detail) {
  return base::Error(HttpError::TlsFailed, std::move(message), std::move(detail));
}

int refuse_passphrase(char*, int, int, void*) { return -1; }

int select_alpn(SSL*, const unsigned char** out, unsigned char* out_bytes, const unsigned char* in,
                unsigned in_bytes, void*) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_bytes, kAlpn, kAlpnBytes, in, in_bytes) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

std::unique_ptr<TlsContext::Impl> make_context(bool server) {
  auto impl = std::make_unique<TlsContext::Impl>();
  impl->is_server = server;
  impl->context.reset(SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()));
  SSL_CTX* context = impl->context.get();
  if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_cipher_list(context, kTls12Suites) != 1) {
    return nullptr;
  }
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Sessions kept for resumption would outlive the request.
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  return impl;
}

base::Result<void> load_chain(SSL_CTX* context, const std::string& pem) {
  std::unique_ptr<BIO, BioFree> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  X509* leaf = PEM_read_bio_X509(bio.get(), nullptr, refuse_passphrase, nullptr);
  if (!leaf) {
    return tls_error("The TLS certificate could not be read.",
                     "certificate file holds no PEM certificate: " + detail::openssl_failure());
  }
  const int used = SSL_CTX_use_certificate(context, leaf);
  X509_free(leaf);
  if (used != 1) {
    return tls_error("The TLS certificate could not be used.", detail::openssl_failure());
  }
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, refuse_passphrase, nullptr)) {
    if (SSL_CTX_add0_chain_cert(context, next) != 1) {
      X509_free(next);
      return tls_error("The TLS certificate chain could not be used.", detail::openssl_failure());
    }
  }
  ERR_clear_error();  // the end of the file is an error to PEM_read_bio_X509
  return {};
}

}  // namespace

TlsContext::TlsContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsContext::~TlsContext() = default;

base::Result<std::shared_ptr<TlsContext>> TlsContext::server(const std::filesystem::path& certificate,
                                                             const std::filesystem::path& key) {
  BULKHEAD_TRY(chain, base::read_file(certificate, kPemBytesMax));
  BULKHEAD_TRY(secret, base::read_secret_file(key, kPemBytesMax));
  auto impl = make_context(true);
  if (!impl) return tls_error("TLS could not be set up.", detail::openssl_failure());
  SSL_CTX* context = impl->context.get();
  BULKHEAD_CHECK_OK(load_chain(context, chain));

  std::unique_ptr<BIO, BioFree> bio(BIO_new_mem_buf(secret.reveal().data(), static_cast<int>(secret.size())));
  std::unique_ptr<EVP_PKEY, KeyFree> parsed(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse_passphrase, nullptr));
  if (!parsed) {
    return tls_error("The TLS key could not be read.",
                     "key file holds no unencrypted PEM key: " + detail::openssl_failure());
  }
  if (SSL_CTX_use_PrivateKey(context, parsed.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    return tls_error("The TLS key does not belong to the certificate.", detail::openssl_failure());
  }
  SSL_CTX_set_alpn_select_cb(context, select_alpn, nullptr);
  return std::make_shared<TlsContext>(std::move(impl));
}

base::Result<std::shared_ptr<TlsContext>> TlsContext::client(const std::filesystem::path& ca_file) {
  auto impl = make_context(false);
  if (!impl) return tls_error("TLS could not be set up.", detail::openssl_failure());
  SSL_CTX* context = impl->context.get();
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  const int loaded = ca_file.empty() ? SSL_CTX_set_default_verify_paths(context)
                                     : SSL_CTX_load_verify_file(context, ca_file.c_str());
  if (loaded != 1) {
    return tls_error("The certificate authorities could not be read.",
                     ca_file.string() + ": " + detail::openssl_failure());
  }
  if (SSL_CTX_set_alpn_protos(context, kAlpn, kAlpnBytes) != 0) {
    return tls_error("TLS could not be set up.", detail::openssl_failure());
  }
  return std::make_shared<TlsContext>(std::move(impl));
}

}  // namespace bulkhead::http
