// [[issuer]]: the identity providers whose tokens are taken.
#pragma once

#include "gateway/config_reader.h"

namespace bulkhead::gateway {

void read_issuer(ConfigReader& r, const std::filesystem::path& base, identity::IssuerConfig& out);
// What single issuers cannot see: one that stands there twice, and records of before that two would own.
void check_issuers(ConfigReader& r, const Config& config);

}  // namespace bulkhead::gateway
