#include "engine/finish_reason.h"

namespace bulkhead::engine {

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::None: return "";
    case FinishReason::Stop: return "stop";
    case FinishReason::Length: return "length";
    case FinishReason::ToolCalls: return "tool_calls";
    case FinishReason::ContentFilter: return "content_filter";
    case FinishReason::Other: return "other";
    case FinishReason::ClientGone: return "client_gone";
    case FinishReason::TimedOut: return "timed_out";
    case FinishReason::TenantSuspended: return "tenant_suspended";
    case FinishReason::KeyUnavailable: return "key_unavailable";
    case FinishReason::Shutdown: return "shutdown";
    case FinishReason::EngineFailed: return "engine_failed";
    case FinishReason::Error: return "error";
  }
  return "error";
}

FinishReason read_finish_reason(std::string_view word) {
  for (FinishReason reason :
       {FinishReason::Stop, FinishReason::Length, FinishReason::ToolCalls, FinishReason::ContentFilter}) {
    if (word == finish_reason_name(reason)) return reason;
  }
  return FinishReason::Other;
}

FinishReason finish_reason_of(base::CancelReason reason) {
  switch (reason) {
    case base::CancelReason::None: return FinishReason::None;
    case base::CancelReason::ClientGone: return FinishReason::ClientGone;
    case base::CancelReason::TimedOut: return FinishReason::TimedOut;
    case base::CancelReason::TenantSuspended: return FinishReason::TenantSuspended;
    case base::CancelReason::KeyUnavailable: return FinishReason::KeyUnavailable;
    case base::CancelReason::Shutdown: return FinishReason::Shutdown;
    case base::CancelReason::Abandoned: return FinishReason::Error;
  }
  return FinishReason::Error;
}

}  // namespace bulkhead::engine
