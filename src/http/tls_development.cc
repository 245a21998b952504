// The development certificate: a CA whose key exists only during the call, and a leaf it signed.
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>
#include <optional>

#include "base/file.h"
#include "http/detail/tls_context_impl.h"
#include "http/message.h"
#include "http/tls.h"

namespace bulkhead::http {

namespace {

constexpr long kDaySeconds = 24 * 60 * 60;
constexpr long kValidDays = 90;
constexpr long kRenewBeforeDays = 7;
constexpr std::size_t kPemBytesMax = 64 << 10;

template <auto FreeFunction>
struct Free {
  template <typename T>
  void operator()(T* pointer) const {
    FreeFunction(pointer);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Bio = std::unique_ptr<BIO, Free<BIO_free>>;
using Store = std::unique_ptr<X509_STORE, Free<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Free<X509_STORE_CTX_free>>;

base::Error failure(std::string what) {
  return base::Error(HttpError::TlsFailed, "The development certificate could not be made.",
                     std::move(what) + ": " + detail::openssl_failure());
}

bool add_extension(X509* certificate, X509* issuer, int id, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, id, value));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool set_random_serial(X509* certificate) {
  std::unique_ptr<BIGNUM, Free<BN_free>> number(BN_new());
  return number && BN_rand(number.get(), 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_name(X509_NAME* name, const char* common_name) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(common_name);
  return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, bytes, -1, -1, 0) == 1;
}

// `issuer` null: self-signed.
Certificate make_certificate(EVP_PKEY* key, const char* common_name, X509* issuer, EVP_PKEY* issuer_key) {
  Certificate made(X509_new());
  X509* certificate = made.get();
  const bool is_ca = issuer == nullptr;
  if (is_ca) issuer = certificate;
  bool good = certificate && X509_set_version(certificate, X509_VERSION_3) == 1 &&
              set_random_serial(certificate) && set_name(X509_get_subject_name(certificate), common_name) &&
              X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
              X509_gmtime_adj(X509_getm_notBefore(certificate), -kDaySeconds / 24) &&
              X509_gmtime_adj(X509_getm_notAfter(certificate), kValidDays * kDaySeconds) &&
              X509_set_pubkey(certificate, key) == 1 &&
              add_extension(certificate, issuer, NID_subject_key_identifier, "hash");
  if (good && is_ca) {
    good = add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           add_extension(certificate, issuer, NID_key_usage, "critical,keyCertSign");
  } else if (good) {
    good = add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always") &&
           add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, issuer, NID_ext_key_usage, "serverAuth") &&
           add_extension(certificate, issuer, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1");
  }
  if (!good || X509_sign(certificate, issuer_key, EVP_sha256()) == 0) return nullptr;
  return made;
}

std::optional<std::string> to_pem(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_X509(bio.get(), certificate) != 1) return std::nullopt;
  char* data = nullptr;
  const long bytes = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<std::size_t>(bytes));
}

std::optional<base::Secret> to_pem(EVP_PKEY* key) {
  const Bio bio(BIO_new(BIO_s_secmem()));
  if (!bio || PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return std::nullopt;
  }
  char* data = nullptr;
  const long bytes = BIO_get_mem_data(bio.get(), &data);
  base::Secret secret = base::Secret::copy_of(std::string_view(data, static_cast<std::size_t>(bytes)));
  base::wipe(data, static_cast<std::size_t>(bytes));
  return secret;
}

Certificate read_certificate(const std::filesystem::path& path) {
  const auto pem = base::read_file(path, kPemBytesMax);
  if (!pem) return nullptr;
  const Bio bio(BIO_new_mem_buf(pem->data(), static_cast<int>(pem->size())));
  return Certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
}

Key read_key(const std::filesystem::path& path) {
  const auto pem = base::read_secret_file(path, kPemBytesMax);
  if (!pem) return nullptr;
  const Bio bio(BIO_new_mem_buf(pem->reveal().data(), static_cast<int>(pem->size())));
  return Key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
}

// All three files belong together and stay valid for a while.
bool still_good(const std::filesystem::path& folder) {
  const Certificate ca = read_certificate(folder / "ca.pem");
  const Certificate leaf = read_certificate(folder / "cert.pem");
  const Key key = read_key(folder / "key.pem");
  bool good = ca && leaf && key && X509_check_private_key(leaf.get(), key.get()) == 1;
  std::time_t horizon = std::time(nullptr) + kRenewBeforeDays * kDaySeconds;
  good = good && X509_cmp_time(X509_get0_notAfter(leaf.get()), &horizon) > 0;
  if (good) {
    const Store store(X509_STORE_new());
    const StoreContext context(X509_STORE_CTX_new());
    good = store && context && X509_STORE_add_cert(store.get(), ca.get()) == 1 &&
           X509_STORE_CTX_init(context.get(), store.get(), leaf.get(), nullptr) == 1 &&
           X509_verify_cert(context.get()) == 1;
  }
  ERR_clear_error();
  return good;
}

}  // namespace

base::Result<void> ensure_development_certificate(const std::filesystem::path& folder) {
  BULKHEAD_CHECK_OK(base::make_private_directory(folder));
  if (still_good(folder)) return {};
  const Key ca_key(EVP_EC_gen("P-256"));
  const Key key(EVP_EC_gen("P-256"));
  if (!ca_key || !key) return failure("making keys");
  const Certificate ca = make_certificate(ca_key.get(), "Bulkhead development CA", nullptr, ca_key.get());
  if (!ca) return failure("making the CA");
  const Certificate leaf = make_certificate(key.get(), "localhost", ca.get(), ca_key.get());
  if (!leaf) return failure("making the certificate");
  const auto ca_pem = to_pem(ca.get());
  const auto leaf_pem = to_pem(leaf.get());
  const auto key_pem = to_pem(key.get());
  if (!ca_pem || !leaf_pem || !key_pem) return failure("writing PEM");
  BULKHEAD_CHECK_OK(base::write_file_atomically(folder / "key.pem", key_pem->reveal_text(), 0600));
  BULKHEAD_CHECK_OK(base::write_file_atomically(folder / "cert.pem", *leaf_pem, 0644));
  return base::write_file_atomically(folder / "ca.pem", *ca_pem, 0644);
}

}  // namespace bulkhead::http
