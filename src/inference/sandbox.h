// The worker's sandbox: after the models are loaded and the threads run, no file can be opened, no
// socket made, no program started. Violations that only an attacker would commit end the process.
#pragma once

#include "base/result.h"

namespace bulkhead::inference {

// Dies when the parent does, cannot gain privileges, leaves no core. Call first in main.
void tie_to_parent();

// Installs the seccomp filter on all threads.
base::Result<void> enter_sandbox();

}  // namespace bulkhead::inference
