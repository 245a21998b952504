// What of a request goes into the audit log, and when: the intent of a change before its handler runs, and
// what came of the request before its answer leaves.
#pragma once

#include <string_view>

#include "base/task.h"
#include "gateway/call.h"

namespace bulkhead::gateway {

// Whether a text has the form of the ids of files, stores, chats and keys that we make. Only those of what a
// client sends as an id are recorded: anything else would be a way to write text into the log.
bool is_made_id(std::string_view text);

// Makes it durable that this request is about to change something, and what. Without that it must not.
base::Task<base::Result<void>> announce_change(Call& call);

// Appends the record of what came of the request, whose members are filled in but for the event; repeated
// refusals are counted instead. Returns when that is as durable as the answer needs it. Errors: Unavailable,
// and OutcomeUnrecorded for a change that may have been made.
struct Ending {
  bool failed = false;    // the answer is an error
  bool streamed = false;  // it has left already
};
base::Task<base::Result<void>> record_ending(Call& call, Ending ending);

}  // namespace bulkhead::gateway
