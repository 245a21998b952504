// WorkRecorder: puts on record what the platform changes of a tenant's data by itself, as the gateway does
// with what requests change: before it is changed, and when it is done.
//
// Upkeep, Eraser and Mover ask it; the audit log is behind it (apps/work_records.h). Without one nothing is
// asked, which is for tests and commands that record by themselves. Thread safety: all members from every
// thread; they block.
#pragma once

#include <string_view>

#include "base/ids.h"
#include "base/result.h"

namespace bulkhead::storage {

class WorkRecorder {
 public:
  enum class Kind {
    Rotation,  // data goes over to new keys, the older ones are destroyed
    Erasure,   // one that a crash cut short goes on
    Move,      // to another mode or store
  };
  virtual ~WorkRecorder() = default;
  // Durable when it returns. After an error the work must not go on; it is tried again later. Once for each
  // piece of work, however often it is taken up.
  virtual base::Result<void> announce(Kind kind, const base::TenantId& tenant) = 0;
  // What was announced is done. Nothing when nothing was.
  virtual void ended(Kind kind, const base::TenantId& tenant, std::string_view note) = 0;
};

}  // namespace bulkhead::storage
