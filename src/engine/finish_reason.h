// FinishReason: how a generation ended, as answers, audit records and metrics say it. A closed set: what an
// engine sends is read into it, never copied.
// Thread safety: pure functions.
#pragma once

#include <string_view>

#include "base/task.h"

namespace bulkhead::engine {

enum class FinishReason {
  None,  // has not ended
  // What an engine says of an answer that it ended itself.
  Stop,
  Length,
  ToolCalls,
  ContentFilter,
  Other,  // any word that is not one of these
  // The answer was cut; no engine says these.
  ClientGone,
  TimedOut,  // the client took in nothing, or the engine gave nothing, for too long
  TenantSuspended,
  KeyUnavailable,
  Shutdown,
  EngineFailed,
  Error,  // of the gateway's own
};
std::string_view finish_reason_name(FinishReason reason);
// An engine's word. Only the first five are ever read from one.
FinishReason read_finish_reason(std::string_view word);
// Why an answer is cut whose request was cancelled; None for a request that was not.
FinishReason finish_reason_of(base::CancelReason reason);

}  // namespace bulkhead::engine
