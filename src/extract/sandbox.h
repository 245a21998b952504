// The extractor's sandbox: no file, no socket, no process, no signal to others, no executable memory,
// bounded memory and CPU time; entered before the first byte of a document is parsed.
//
// One way: nothing leaves it but the process's end. A refused call answers EPERM, so that a library
// that looks for a font goes on without; a call that only an attacker makes kills the process.
#pragma once

#include <cstddef>

#include "base/result.h"

namespace bulkhead::extract {

base::Result<void> enter_sandbox(std::size_t memory_bytes_max);

}  // namespace bulkhead::extract
