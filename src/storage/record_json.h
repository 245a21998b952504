// Lists inside records, as JSON text in one column.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "access/decision.h"
#include "base/result.h"

namespace bulkhead::storage {

std::string strings_to_json(const std::vector<std::string>& strings);
base::Result<std::vector<std::string>> strings_from_json(std::string_view text);
std::string access_to_json(const access::DocumentAccess& access);
base::Result<access::DocumentAccess> access_from_json(std::string_view text);

// Corrupt: what was read is not what this code writes.
base::Error damaged(std::string_view what);

}  // namespace bulkhead::storage
