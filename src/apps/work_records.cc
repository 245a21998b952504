#include "apps/work_records.h"

#include "crypto/random.h"

namespace bulkhead::apps {

using audit::Event;
using base::Result;
using base::TenantId;

namespace {

Event event_of(storage::WorkRecorder::Kind kind) {
  using Kind = storage::WorkRecorder::Kind;
  switch (kind) {
    case Kind::Rotation: return Event::TenantKeyRotated;
    case Kind::Erasure: return Event::DataErased;
    case Kind::Move: return Event::TenantMoved;
  }
  return Event::TenantChanged;
}

}  // namespace

audit::Record WorkRecords::record_of(const TenantId& tenant, Event event) const {
  audit::Record record;
  record.time = clock_.wall();
  record.event = event;
  record.tenant = record.target = tenant.str();
  return record;
}

Result<void> WorkRecords::announce(Kind kind, const TenantId& tenant) {
  std::lock_guard lock(mutex_);
  if (announced_.contains({kind, tenant})) return Result<void>();
  audit::Record intent = record_of(tenant, Event::ChangeIntended);
  intent.request_id = base::RequestId::make(crypto::random_public_id()).str();
  intent.intended = audit::event_name(event_of(kind));
  BULKHEAD_CHECK_OK(log_.append(intent).wait());
  announced_.emplace(std::pair(kind, tenant), std::move(intent.request_id));
  return Result<void>();
}

void WorkRecords::ended(Kind kind, const TenantId& tenant, std::string_view note) {
  std::lock_guard lock(mutex_);
  auto found = announced_.find({kind, tenant});
  if (found == announced_.end()) return;
  audit::Record outcome = record_of(tenant, event_of(kind));
  outcome.request_id = found->second;
  outcome.note = note;
  outcome.concludes = true;
  announced_.erase(found);
  static_cast<void>(log_.append(outcome).wait());
}

void WorkRecords::chats_expired(const TenantId& tenant, std::size_t count) {
  audit::Record record = record_of(tenant, Event::ChatsExpired);
  record.count = static_cast<std::int64_t>(count);
  static_cast<void>(log_.append(record).wait());
}

void WorkRecords::pause() {
  std::lock_guard lock(mutex_);
  for (const auto& [work, id] : announced_) {
    audit::Record record = record_of(work.second, Event::ChangePaused);
    record.request_id = id;
    record.intended = audit::event_name(event_of(work.first));
    record.concludes = true;
    static_cast<void>(log_.append(record).wait());
  }
  announced_.clear();
}

}  // namespace bulkhead::apps
