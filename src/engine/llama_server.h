// What the adapter does at a llama.cpp server beside generating: is it started safely, and erasing slots.
// The server's defaults are made for one user; what can be asked is asked, what can't is provoked. Each
// reason names the flag to set. Awaited on a reactor.
#pragma once

#include <string>

#include "engine/replica.h"

namespace bulkhead::engine {

struct Inspection {
  enum class Outcome { Safe, Unreachable, Unsafe } outcome = Outcome::Safe;
  std::string reason;  // for the operator
};

struct LlamaNeeds {
  std::size_t slots = 0;     // at least
  std::int64_t context = 0;  // tokens of one slot, at least
};

// What `/props`, `/slots` and `/tools` say; quick enough for every health check.
base::Task<Inspection> inspect_settings(Replica& replica, LlamaNeeds needs, base::CancelToken cancel);
// That, and three short generations in slot 0, which show a host prompt cache. Nothing else may be in slot 0.
base::Task<Inspection> inspect_llama_server(Replica& replica, LlamaNeeds needs, base::CancelToken cancel);

// Empties a slot and checks the answer: it names this slot and at least `tokens_min` tokens. Fewer mean that
// the request ran elsewhere.
base::Task<base::Result<void>> erase_slot(Replica& replica, std::size_t slot, std::int64_t tokens_min,
                                          base::CancelToken cancel);

}  // namespace bulkhead::engine
