// Key sets as an issuer may serve them: bounded, never a key outside the accepted kinds, and a key is
// found only when exactly one fits.
#include <set>
#include <vector>

#include "base/bytes.h"
#include "check.h"
#include "identity/jwks.h"

namespace {

using namespace bulkhead;
using fuzz::require;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto document = identity::JwksDocument::parse(fuzz::text_of(data, size));
  if (!document) {
    fuzz::require_told(document.error());
    return 0;
  }
  require(document->size() <= identity::kJwksKeysMax, "a set stays in its bound");
  std::vector<identity::Jwk> keys;
  for (std::size_t i = 0; i < document->size(); ++i) {
    auto key = document->key(i);
    if (!key) fuzz::require_told(key.error());
    if (key && *key) keys.push_back(std::move(**key));
  }
  for (const identity::Jwk& key : keys) {
    bool fits_one = false;
    for (crypto::JwsAlgorithm algorithm : crypto::kJwsAlgorithms) {
      fits_one = fits_one || key.key.fits(algorithm);
      // No signature was ever made with these keys.
      base::Bytes zeros(64, 0);
      require(!key.key.verify(algorithm, base::as_bytes("message"), zeros), "zeros are no signature");
      require(!key.key.verify(algorithm, base::as_bytes("message"), {}), "nothing is no signature");
    }
    require(fits_one, "a kept key is of an accepted kind");
  }
  for (crypto::JwsAlgorithm algorithm : crypto::kJwsAlgorithms) {
    std::set<crypto::Digest> fitting;  // a key that is listed again is the same key
    for (const identity::Jwk& key : keys) {
      bool usable = key.key.fits(algorithm) && (!key.algorithm || *key.algorithm == algorithm);
      if (usable) fitting.insert(key.thumbprint);
      if (const identity::Jwk* found = identity::find_key(keys, key.id, algorithm)) {
        require(key.id.empty() || found->id == key.id, "a key is found under its own id");
        require(found->key.fits(algorithm), "a found key fits");
      }
    }
    require((identity::find_key(keys, "", algorithm) != nullptr) == (fitting.size() == 1),
            "without an id a key is found when exactly one fits");
  }
  return 0;
}
