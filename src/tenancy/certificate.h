// Making certificates of destruction; TenantDirectory::destroy's own. Verifying is in directory.h.
#pragma once

#include <string>

#include "base/clock.h"
#include "crypto/signature.h"
#include "tenancy/directory.h"

namespace bulkhead::tenancy {

struct CertificateFacts {
  std::string tenant;
  base::WallTime time;
  std::string key_id;   // hash of the wrapped key that was destroyed; "" when an earlier, interrupted
                        // run had destroyed it already
  TenantEraser::Report erased;
};

DestructionCertificate make_certificate(const CertificateFacts& facts, const crypto::SigningKey& signer);

}  // namespace bulkhead::tenancy
