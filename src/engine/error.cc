#include "engine/engine.h"

namespace bulkhead::engine {

base::ErrorName error_name(EngineError code) {
  switch (code) {
    case EngineError::Unavailable: return {"engine", "unavailable"};
    case EngineError::ModelUnknown: return {"engine", "model_unknown"};
    case EngineError::ContextExceeded: return {"engine", "context_length_exceeded"};
    case EngineError::QueueFull: return {"engine", "queue_full"};
    case EngineError::BadRequest: return {"engine", "bad_request"};
    case EngineError::BadAnswer: return {"engine", "bad_answer"};
    case EngineError::Cancelled: return {"engine", "cancelled"};
    case EngineError::Failed: return {"engine", "failed"};
    case EngineError::ModelRefused: return {"engine", "model_refused"};
    case EngineError::ModelBusy: return {"engine", "model_busy"};
    case EngineError::HeldOff: return {"engine", "held_off"};
  }
  return {"engine", "unknown"};
}

std::string_view priority_name(Priority priority) {
  return priority == Priority::Background ? "background" : "interactive";
}

}  // namespace bulkhead::engine
