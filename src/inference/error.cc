#include "inference/error.h"

namespace bulkhead::inference {

base::ErrorName error_name(InferenceError code) {
  switch (code) {
    case InferenceError::ModelUnreadable: return {"inference", "model_unreadable"};
    case InferenceError::HashMismatch: return {"inference", "model_hash_mismatch"};
    case InferenceError::Unsupported: return {"inference", "unsupported"};
    case InferenceError::ContextExceeded: return {"inference", "context_length_exceeded"};
    case InferenceError::QueueFull: return {"inference", "queue_full"};
    case InferenceError::Cancelled: return {"inference", "cancelled"};
    case InferenceError::Failed: return {"inference", "engine_error"};
    case InferenceError::BadRequest: return {"inference", "bad_request"};
    case InferenceError::BadContext: return {"inference", "bad_context"};
    case InferenceError::BadGrammar: return {"inference", "bad_grammar"};
    case InferenceError::ModelUnknown: return {"inference", "model_not_found"};
    case InferenceError::ShuttingDown: return {"inference", "shutting_down"};
  }
  return {"inference", "unknown"};
}

}  // namespace bulkhead::inference
