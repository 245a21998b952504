// Reads a [[store]] section: a PostgreSQL server where tenants' data can be, beside the embedded store.
#pragma once

#include "gateway/config_reader.h"
#include "storage/postgres_options.h"

namespace bulkhead::gateway {

void read_store(ConfigReader& r, const std::filesystem::path& base, storage::PostgresOptions& out);
// What one section can't see: names given twice, walls that two stores would share, TLS that is too weak
// for production.
void check_stores(ConfigReader& r, const Config& config);

}  // namespace bulkhead::gateway
