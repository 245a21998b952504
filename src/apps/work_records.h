// WorkRecords: the audit records of work that no request waits for. See storage/work_recorder.h.
//
// What is announced and not done when the gateway stops is recorded as paused (`pause`, or the destructor),
// so that the next start doesn't take it for an unknown outcome; it is announced anew when it goes on.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "audit/log.h"
#include "base/clock.h"
#include "storage/work_recorder.h"

namespace bulkhead::apps {

class WorkRecords final : public storage::WorkRecorder {
 public:
  WorkRecords(audit::Log& log, const base::Clock& clock) : log_(log), clock_(clock) {}
  ~WorkRecords() override { pause(); }
  base::Result<void> announce(Kind kind, const base::TenantId& tenant) override;
  void ended(Kind kind, const base::TenantId& tenant, std::string_view note) override;
  // Kept chats whose time was over are gone.
  void chats_expired(const base::TenantId& tenant, std::size_t count);
  void pause();

 private:
  audit::Record record_of(const base::TenantId& tenant, audit::Event event) const;

  audit::Log& log_;
  const base::Clock& clock_;
  std::mutex mutex_;
  std::map<std::pair<Kind, base::TenantId>, std::string> announced_;  // ids that join intent and outcome
};

}  // namespace bulkhead::apps
