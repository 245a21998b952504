// Cryptographic randomness from the kernel. Aborts when the kernel has none (invariant I9).
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/secret.h"

namespace bulkhead::crypto {

void random_fill(std::uint8_t* out, std::size_t bytes);
base::Bytes random_bytes(std::size_t bytes);
base::Secret random_secret(std::size_t bytes);
// Lower-case base32 (RFC 4648 alphabet, no padding) of `bits` random bits; for ids.
std::string random_id(unsigned bits = 130);
// An id of 130 bits for what is no secret: requests, answers. Costs no system call.
std::string random_public_id();

}  // namespace bulkhead::crypto
