// The audit routes' questions: their parameters, and their answers.
#pragma once

#include "audit/query.h"
#include "base/result.h"
#include "gateway/call.h"
#include "http/message.h"

namespace bulkhead::gateway {

base::Result<audit::Query> read_audit_query(const http::Request& request);

// Reads the log a slice at a time, in turn with other readers, and so much of it at the most; what is left is
// for another question, which `next_after` in the answer goes on with.
base::Task<base::Result<Reply>> answer_audit_query(Call& call, audit::Query query);

}  // namespace bulkhead::gateway
