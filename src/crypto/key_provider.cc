#include "crypto/key_provider.h"

#include "crypto/random.h"

namespace bulkhead::crypto {

base::ErrorName error_name(KeyProviderError code) {
  switch (code) {
    case KeyProviderError::Revoked: return {"key_provider", "revoked"};
    case KeyProviderError::Unavailable: return {"key_provider", "unavailable"};
    case KeyProviderError::Misconfigured: return {"key_provider", "misconfigured"};
  }
  return {"key_provider", "unknown"};
}

base::Result<void> try_provider(KeyProvider& provider) {
  constexpr std::size_t kSampleBytes = 32;
  const base::Secret sample = random_secret(kSampleBytes);
  BULKHEAD_TRY(box, provider.wrap(sample, "bulkhead/trial"));
  BULKHEAD_TRY(back, provider.unwrap(box, "bulkhead/trial"));
  if (!(back == sample)) {
    return base::Error(KeyProviderError::Misconfigured, "The key provider does not give back what it took.",
                       provider.describe());
  }
  auto foreign = provider.unwrap(box, "bulkhead/another");
  if (foreign) {
    return base::Error(KeyProviderError::Misconfigured,
                       "The key provider does not bind a key to whose it is.", provider.describe());
  }
  return {};
}

}  // namespace bulkhead::crypto
