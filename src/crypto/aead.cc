#include "crypto/aead.h"

#include <cstdlib>

#include "crypto/random.h"
#include "crypto/sodium.h"

namespace bulkhead::crypto {

using base::Error;
using base::Result;

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kNonceBytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t kTagBytes = crypto_aead_xchacha20poly1305_ietf_ABYTES;
static_assert(kAeadOverheadBytes == 1 + kNonceBytes + kTagBytes);
static_assert(kAeadKeyBytes == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);

Error broken() {
  return Error(CryptoError::SealBroken, "Stored data could not be opened with this tenant's key.",
               "seal broken: wrong key, wrong identity or altered bytes");
}

// Opens `box` into `out`, which has room for box.size() - overhead bytes.
bool open_into(const base::Secret& key, base::ByteView box, base::ByteView associated, std::uint8_t* out) {
  start_sodium();
  if (key.size() != kAeadKeyBytes) return false;
  if (box.size() < kAeadOverheadBytes || box[0] != kVersion) return false;
  base::ByteView nonce = box.subspan(1, kNonceBytes);
  base::ByteView sealed = box.subspan(1 + kNonceBytes);
  unsigned long long bytes = 0;
  return crypto_aead_xchacha20poly1305_ietf_decrypt(out, &bytes, nullptr, sealed.data(), sealed.size(),
                                                    associated.data(), associated.size(), nonce.data(),
                                                    key.reveal().data()) == 0;
}

}  // namespace

base::ErrorName error_name(CryptoError code) {
  switch (code) {
    case CryptoError::SealBroken: return {"crypto", "seal_broken"};
    case CryptoError::BadKey: return {"crypto", "bad_key"};
    case CryptoError::BadSignature: return {"crypto", "bad_signature"};
    case CryptoError::Unsupported: return {"crypto", "unsupported"};
  }
  return {"crypto", "unknown"};
}

base::Bytes seal(const base::Secret& key, base::ByteView plaintext, base::ByteView associated) {
  start_sodium();
  if (key.size() != kAeadKeyBytes) std::abort();
  base::Bytes box(kAeadOverheadBytes + plaintext.size());
  box[0] = kVersion;
  random_fill(box.data() + 1, kNonceBytes);
  unsigned long long bytes = 0;
  crypto_aead_xchacha20poly1305_ietf_encrypt(box.data() + 1 + kNonceBytes, &bytes, plaintext.data(),
                                             plaintext.size(), associated.data(), associated.size(), nullptr,
                                             box.data() + 1, key.reveal().data());
  return box;
}

Result<base::Bytes> open(const base::Secret& key, base::ByteView box, base::ByteView associated) {
  if (box.size() < kAeadOverheadBytes) return broken();
  // One byte more: an empty vector has no address to write to.
  base::Bytes out(box.size() - kAeadOverheadBytes + 1);
  if (!open_into(key, box, associated, out.data())) return broken();
  out.pop_back();
  return out;
}

Result<base::Secret> open_secret(const base::Secret& key, base::ByteView box, base::ByteView associated) {
  if (box.size() <= kAeadOverheadBytes) return broken();
  base::Secret out(box.size() - kAeadOverheadBytes);
  if (!open_into(key, box, associated, out.writable())) return broken();
  return out;
}

}  // namespace bulkhead::crypto
