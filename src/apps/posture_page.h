// A posture report, as the gateway gives it in JSON, for people: a table for a terminal, or one HTML page
// that needs nothing else (no script, no font, no image from anywhere). Everything from the report is
// escaped: a tenant's display name is text that somebody typed.
// Thread safety: plain functions.
#pragma once

#include <string>

#include "base/json.h"

namespace bulkhead::apps {

std::string posture_table(const base::json::Value& report);
std::string posture_html(const base::json::Value& report);
// "1.5 GiB"
std::string human_bytes(std::uint64_t bytes);

}  // namespace bulkhead::apps
