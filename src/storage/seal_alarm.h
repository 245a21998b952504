// Who hears of a record that does not unseal.
//
// A broken seal means that somebody altered, moved or exchanged a stored record: it must reach the audit
// log and the metrics whatever path met it (a request, an ingest, an index being filled). Seals are opened
// deep inside every backend, so there is one listener for the process rather than one handed down each
// path, where a single forgotten hand-over would be silence.
//
// Thread safety: all functions from every thread. The listener runs on the thread that met the seal and
// must not block on storage.
#pragma once

#include <functional>
#include <string_view>

namespace bulkhead::storage {

// `record` names kind, id and ordinal, like "chunk.text file-abc #3"; never content.
using SealAlarm = std::function<void(std::string_view tenant, std::string_view record)>;

void set_seal_alarm(SealAlarm alarm);  // an empty one switches it off
void raise_seal_alarm(std::string_view tenant, std::string_view record);

}  // namespace bulkhead::storage
