// What can go wrong in the engine worker.
#pragma once

#include "base/error.h"

namespace bulkhead::inference {

enum class InferenceError {
  ModelUnreadable,
  HashMismatch,
  Unsupported,
  ContextExceeded,
  QueueFull,
  Cancelled,
  Failed,
  BadRequest,
  BadContext,
  BadGrammar,
  ModelUnknown,
  ShuttingDown,
};
base::ErrorName error_name(InferenceError code);

}  // namespace bulkhead::inference
