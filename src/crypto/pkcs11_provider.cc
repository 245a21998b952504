#include "crypto/pkcs11_provider.h"

#include <algorithm>

#include "crypto/aead.h"
#include "crypto/pkcs11_session.h"
#include "crypto/random.h"

namespace bulkhead::crypto {

using base::Error;
using base::Result;

namespace {

constexpr std::uint8_t kBoxVersion = 1;
constexpr std::size_t kIvBytes = 12, kTagBytes = 16;
constexpr std::size_t kKeyBytesMax = 1024;

// Runs `work` on a fresh session; once more, after a look at the module's tokens, when it had known them as
// they no longer are (a token that was taken out and put back).
template <typename T, typename Work>
Result<T> with_session(Pkcs11Module& module, const Pkcs11Options& options, Pkcs11Session::For purpose,
                       Work work) {
  auto once = [&](bool& stale) -> Result<T> {
    BULKHEAD_TRY(session, Pkcs11Session::open(module, options, purpose, stale));
    return work(*session, stale);
  };
  bool stale = false;
  auto done = once(stale);
  if (done || !stale) return done;
  module.look_again();
  return once(stale);
}

}  // namespace

Pkcs11Provider::Pkcs11Provider(Pkcs11Options options, std::shared_ptr<Pkcs11Module> module)
    : options_(std::move(options)), module_(std::move(module)) {}
Pkcs11Provider::~Pkcs11Provider() = default;

Result<std::unique_ptr<Pkcs11Provider>> Pkcs11Provider::open(Pkcs11Options options) {
  BULKHEAD_TRY(module, Pkcs11Module::load(options.module));
  return std::unique_ptr<Pkcs11Provider>(new Pkcs11Provider(std::move(options), std::move(module)));
}

Result<bool> Pkcs11Provider::make_key() {
  return with_session<bool>(*module_, options_, Pkcs11Session::For::Writing,
                            [](Pkcs11Session& session, bool& stale) -> Result<bool> {
                              BULKHEAD_TRY(there, session.has_key(stale));
                              if (there) return false;
                              BULKHEAD_CHECK_OK(session.make_key(stale));
                              return true;
                            });
}

std::string Pkcs11Provider::describe() const { return pkcs11_name(options_); }

Result<base::Bytes> Pkcs11Provider::wrap(const base::Secret& key, std::string_view associated) {
  if (key.size() > kKeyBytesMax) return Error(CryptoError::BadKey, "A key to be wrapped is too long.");
  const base::Bytes iv = random_bytes(kIvBytes);
  const std::size_t sealed_bytes = key.size() + kTagBytes;
  return with_session<base::Bytes>(
      *module_, options_, Pkcs11Session::For::Reading,
      [&](Pkcs11Session& session, bool& stale) -> Result<base::Bytes> {
        BULKHEAD_CHECK_OK(session.use_key(stale));
        base::Bytes sealed(sealed_bytes);
        BULKHEAD_TRY(used, session.encrypt(iv, associated, key.reveal(), sealed, stale));
        if (used != sealed_bytes) {
          return Error(KeyProviderError::Misconfigured, "The token's answer is not AES-GCM as it must be.",
                       describe() + ": " + std::to_string(used) + " bytes");
        }
        base::Bytes box = {kBoxVersion};
        box.insert(box.end(), iv.begin(), iv.end());
        box.insert(box.end(), sealed.begin(), sealed.end());
        return box;
      });
}

Result<base::Secret> Pkcs11Provider::unwrap(base::ByteView box, std::string_view associated) {
  constexpr std::size_t kHead = 1 + kIvBytes;
  if (box.size() < kHead + kTagBytes || box.size() > kHead + kKeyBytesMax + kTagBytes ||
      box[0] != kBoxVersion) {
    return Error(CryptoError::SealBroken, "A wrapped key does not open.",
                 describe() + ": it was not wrapped by a PKCS#11 token, or was altered");
  }
  const base::ByteView iv = box.subspan(1, kIvBytes), sealed = box.subspan(kHead);
  return with_session<base::Secret>(
      *module_, options_, Pkcs11Session::For::Reading,
      [&](Pkcs11Session& session, bool& stale) -> Result<base::Secret> {
        BULKHEAD_CHECK_OK(session.use_key(stale));
        // Some tokens want room for the tag too.
        base::Secret room(sealed.size());
        BULKHEAD_TRY(used, session.decrypt(iv, associated, sealed, room, stale));
        return base::Secret::copy_of(room.reveal().first(std::min(used, room.size())));
      });
}

}  // namespace bulkhead::crypto
