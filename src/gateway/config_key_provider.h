// Reads a [[key_provider]] section: who wraps tenants' keys beside the platform.
#pragma once

#include "gateway/config_reader.h"

namespace bulkhead::gateway {

void read_key_provider(ConfigReader& r, const std::filesystem::path& base, KeyProviderConfig& out);
// What one section can't see: names given twice, one token with two PINs, time limits that a key's lifetime
// leaves no room for.
void check_key_providers(ConfigReader& r, const Config& config);

}  // namespace bulkhead::gateway
