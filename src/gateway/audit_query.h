// The query parameters of the audit routes.
#pragma once

#include "audit/verify.h"
#include "base/result.h"
#include "http/message.h"

namespace bulkhead::gateway {

base::Result<audit::Query> read_audit_query(const http::Request& request);

}  // namespace bulkhead::gateway
