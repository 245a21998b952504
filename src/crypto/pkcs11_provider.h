// Pkcs11Provider: a key-encryption key that never leaves its PKCS#11 token (an HSM, a smart card, SoftHSM).
//
// The key is an AES-256 secret key of the token, found by its label. It must be CKA_SENSITIVE, not
// CKA_EXTRACTABLE and allowed to encrypt and decrypt; that is looked at on every use, so that a key that was
// exchanged for a weaker one is not used. Wrapping is CKM_AES_GCM inside the token (NIST SP 800-38D) with
// the caller's associated data as its additional data and a random IV of 96 bits. A box is: version byte
// 0x01 | IV 12 | ciphertext | tag 16.
//
// Each use opens a session, reads the PIN from its file, logs in, and logs out again: nothing of it is kept,
// and a PIN that was changed, a token that was taken away and a key that was deleted are noticed at the next
// use (a changed PIN only where the module asks the token: SoftHSM remembers it until it is initialised
// anew). A PIN that the token refused is not sent again until its file changes, because tokens count refusals
// and lock themselves.
//
// Errors: KeyProviderError::Revoked when the key is gone or the PIN is refused, locked or expired;
// Unavailable when the token can't be reached; Misconfigured when the module, the PIN file or the key is not
// as it must be; CryptoError::SealBroken for a box that this key did not make. The detail says what to
// change. No PIN and no key ever stands in one.
// Thread safety: all members from every thread. They block for as long as the module likes; put a
// BoundedProvider before it (bounded_provider.h).
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "crypto/key_provider.h"

namespace bulkhead::crypto {

struct Pkcs11Options {
  std::filesystem::path module;    // the token's PKCS#11 library
  std::string token;               // its label; or
  std::string serial;              // its serial number; both: both must fit
  std::string key;                 // the key's label
  std::filesystem::path pin_file;  // mode 0600
};

class Pkcs11Module;

class Pkcs11Provider final : public KeyProvider {
 public:
  // Loads the module; asks the token nothing yet.
  static base::Result<std::unique_ptr<Pkcs11Provider>> open(Pkcs11Options options);
  ~Pkcs11Provider() override;
  // Makes the key in the token as it must be, unless it is there: then it is left alone, whatever it is like.
  // True: it was made.
  base::Result<bool> make_key();
  std::string describe() const override;
  base::Result<base::Bytes> wrap(const base::Secret& key, std::string_view associated) override;
  base::Result<base::Secret> unwrap(base::ByteView box, std::string_view associated) override;

 private:
  Pkcs11Provider(Pkcs11Options options, std::shared_ptr<Pkcs11Module> module);
  const Pkcs11Options options_;
  const std::shared_ptr<Pkcs11Module> module_;
};

}  // namespace bulkhead::crypto
