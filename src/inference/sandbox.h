// The worker's sandbox: no file can be opened or asked about, no socket made, no program started, no other
// process signalled or scheduled, no memory made executable. It is entered when the model files are open and
// before the first byte of one is parsed. A refused call answers EPERM; one that only an attacker makes ends
// the process.
#pragma once

#include "base/result.h"

namespace bulkhead::inference {

// Dies when the parent does, cannot gain privileges, leaves no core. Call first in main.
void tie_to_parent();

// Installs the seccomp filter on all threads, those of later included. One way.
base::Result<void> enter_sandbox();

}  // namespace bulkhead::inference
