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
    case EngineError::TimedOut: return {"engine", "timed_out"};
    case EngineError::ModelRefused: return {"engine", "model_refused"};
    case EngineError::ModelBusy: return {"engine", "model_busy"};
    case EngineError::HeldOff: return {"engine", "held_off"};
  }
  return {"engine", "unknown"};
}

bool may_have_worked(const base::Error& error) {
  const auto code = error.as<EngineError>();
  if (!code) return false;
  switch (*code) {
    case EngineError::BadAnswer:
    case EngineError::Cancelled:
    case EngineError::Failed:
    case EngineError::TimedOut: return true;
    case EngineError::Unavailable:
    case EngineError::ModelUnknown:
    case EngineError::ContextExceeded:
    case EngineError::QueueFull:
    case EngineError::BadRequest:
    case EngineError::ModelRefused:
    case EngineError::ModelBusy:
    case EngineError::HeldOff: return false;
  }
  return false;
}

std::int64_t estimated_tokens(std::size_t bytes) {
  constexpr std::size_t kBytesPerToken = 4;
  return static_cast<std::int64_t>((bytes + kBytesPerToken - 1) / kBytesPerToken);
}

std::string_view priority_name(Priority priority) {
  switch (priority) {
    case Priority::Interactive: return "interactive";
    case Priority::Background: return "background";
    case Priority::Maintenance: return "maintenance";
  }
  return "interactive";
}

}  // namespace bulkhead::engine
