// The extractor's sandbox: no file, no socket, no process, bounded memory and time; entered before
// the first byte of a document is parsed.
#pragma once

#include <cstddef>

#include "base/result.h"

namespace bulkhead::extract {

base::Result<void> enter_sandbox(std::size_t memory_bytes_max);

}  // namespace bulkhead::extract
