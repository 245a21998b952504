#include "apps/offline.h"

#include "apps/support.h"
#include "base/clock.h"
#include "crypto/random.h"

namespace bulkhead::apps {

using base::Error;
using base::Result;

Result<OfflinePlatform> OfflinePlatform::open(const std::string& config_file, bool accept_lost_heads) {
  OfflinePlatform out;
  BULKHEAD_TRY(config, gateway::load_config(config_file));
  out.config_ = std::move(config);
  BULKHEAD_TRY(keys, load_platform_keys(out.config_));
  BULKHEAD_TRY(database, storage::PlatformDatabase::open(out.config_.data.dir, *keys, false));
  out.database_ = std::move(database);
  BULKHEAD_TRY(seed, out.database_->secret("audit-signing"));
  BULKHEAD_TRY(key, crypto::SigningKey::from_seed(seed));
  BULKHEAD_TRY(kept, out.database_->setting("audit-head"));
  out.kept_head_ = kept.value_or("");
  audit::LogOptions log;
  log.dir = out.config_.audit.dir;
  log.witness_dir = out.config_.audit.witness_dir;
  log.accept_lost_heads = accept_lost_heads;
  if (kept) log.kept_heads.push_back({*kept, "the platform database's copy of the head"});
  BULKHEAD_TRY(opened, audit::Log::open(std::move(log), std::move(key), base::Clock::system()));
  out.log_ = std::move(opened);
  out.log_->on_checkpoint([newest = out.newest_head_](std::string head) { *newest = std::move(head); });
  return out;
}

Result<void> OfflinePlatform::record(audit::Record record) {
  record.time = base::Clock::system().wall();
  record.principal = "operator";
  BULKHEAD_CHECK_OK(log_->append(record).wait());
  return Result<void>();
}

Result<void> OfflinePlatform::change(audit::Event event, const std::function<Result<std::string>()>& work) {
  audit::Record intent;
  intent.event = audit::Event::ChangeIntended;
  intent.intended = audit::event_name(event);
  intent.request_id = base::RequestId::make(crypto::random_public_id()).str();
  BULKHEAD_CHECK_OK(record(intent));
  auto done = work();
  audit::Record outcome;
  outcome.event = done ? event : audit::Event::RequestFailed;
  outcome.request_id = intent.request_id;
  outcome.concludes = true;
  if (done)
    outcome.target = *done;
  else
    outcome.reason = done.error().name().code;
  BULKHEAD_CHECK_OK(record(std::move(outcome)));
  if (!done) return done.take_error();
  return Result<void>();
}

Result<void> OfflinePlatform::close() {
  log_.reset();  // writes the last checkpoint and joins its writer
  if (newest_head_->empty()) {
    return Error(audit::AuditError::Io,
                 "The audit log took the record but no signed head. Is its disk full?");
  }
  return database_->set_setting("audit-head", *newest_head_);
}

}  // namespace bulkhead::apps
