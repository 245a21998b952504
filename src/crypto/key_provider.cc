#include "crypto/key_provider.h"

namespace bulkhead::crypto {

base::ErrorName error_name(KeyProviderError code) {
  switch (code) {
    case KeyProviderError::Revoked:
      return {"key_provider", "revoked"};
    case KeyProviderError::Unavailable:
      return {"key_provider", "unavailable"};
    case KeyProviderError::Misconfigured:
      return {"key_provider", "misconfigured"};
  }
  return {"key_provider", "unknown"};
}

}  // namespace bulkhead::crypto
