// OfflinePlatform: the platform's database and its audit log for commands that need the gateway stopped.
//
// Holding the audit log's lock is what proves that nothing serves meanwhile; what a command does is
// recorded in the same log as everything else. Not thread safe.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "audit/log.h"
#include "gateway/config.h"
#include "storage/store_manager.h"

namespace bulkhead::apps {

class OfflinePlatform {
 public:
  // `accept_lost_heads`: see audit::LogOptions; for `bulkhead audit accept` only.
  static base::Result<OfflinePlatform> open(const std::string& config_file, bool accept_lost_heads = false);
  storage::PlatformDatabase& database() { return *database_; }
  // The signed head that the database kept of the log; empty: none yet.
  const std::string& kept_head() const { return kept_head_; }
  // Makes a change: its intent is on disk before `work` begins, and what came of it after. `work` gives the
  // record's target.
  base::Result<void> change(audit::Event event, const std::function<base::Result<std::string>()>& work);
  // Fills in time and principal, and returns when the record is on disk.
  base::Result<void> record(audit::Record record);
  // Closes the log and keeps its new head. To be called after the last record.
  base::Result<void> close();

 private:
  OfflinePlatform() = default;
  gateway::Config config_;
  std::unique_ptr<storage::PlatformDatabase> database_;
  std::string kept_head_;
  std::shared_ptr<std::string> newest_head_ = std::make_shared<std::string>();
  std::unique_ptr<audit::Log> log_;
};

}  // namespace bulkhead::apps
