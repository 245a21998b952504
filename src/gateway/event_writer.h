// EventWriter: the server-sent events of one streamed answer, shaped so that their sizes and gaps need
// not mirror the model's tokens (token-length side channel: Weiss et al., "What Was Your Prompt?",
// USENIX Security 2024).
//
// Padding: each event is filled up to a multiple of a quantum, by OpenAI's `obfuscation` member or, where
// the payload is no object, by a comment line that every reader of event streams drops. Cadence: events
// leave on a beat; the caller gathers pieces until `wait_for_beat` returns.
// The first failure to write is the client's going away. One request, its reactor.
#pragma once

#include <chrono>
#include <string>

#include "gateway/call.h"

namespace bulkhead::gateway {

// The quantum for a client that asks by `stream_options.include_obfuscation` where no policy sets one.
inline constexpr std::size_t kObfuscationQuantum = 256;

// One event of `payload` whose size in bytes is a multiple of `quantum` (0: as it is). `added` grows by
// the bytes of padding.
std::string shaped_event(std::string payload, std::size_t quantum, std::uint64_t& added);

class EventWriter {
 public:
  EventWriter(Call& call, bool obfuscation_asked);
  base::Task<base::Result<void>> start();
  base::Task<base::Result<void>> send(std::string payload);
  bool has_beat() const { return beat_.count() > 0; }
  // Until the next beat, or until the request is cut. At once without a cadence.
  base::Task<void> wait_for_beat();
  std::uint64_t padding_bytes() const { return padding_bytes_; }

 private:
  Call& call_;
  std::size_t quantum_;
  std::chrono::milliseconds beat_;
  base::MonotonicTime began_{};
  std::uint64_t padding_bytes_ = 0;
};

}  // namespace bulkhead::gateway
