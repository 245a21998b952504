#include "storage/eraser.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>

#include "base/json.h"
#include "base/log.h"
#include "storage/record_json.h"
#include "storage/seal.h"
#include "storage/tombstones.h"
#include "tenancy/certificate.h"

namespace bulkhead::storage {
namespace {

namespace json = base::json;
using base::Error;
using base::Result;
using base::TenantId;

constexpr std::size_t kPageRows = 100;
// Another rotation may come first each time, but not for ever.
constexpr int kRotateAttemptsMax = 8;

struct Plan {
  std::string kind;  // document, chat, user
  std::string name;
  std::string requested_by;
  std::vector<tenancy::ErasedRecord> records;
  std::vector<std::string> api_keys;
};

std::string_view kind_name(ErasureOrder::Kind kind) {
  switch (kind) {
    case ErasureOrder::Kind::Document: return "document";
    case ErasureOrder::Kind::Chat: return "chat";
    case ErasureOrder::Kind::User: return "user";
  }
  return "";
}

std::string plan_json(const Plan& plan) {
  json::Writer w;
  w.begin_object().member("kind", plan.kind).member("name", plan.name).member("by", plan.requested_by);
  w.key("records").begin_array();
  for (const auto& record : plan.records) {
    w.begin_object().member("id", record.id).member("key", record.key_id).end_object();
  }
  w.end_array().key("api_keys").begin_array();
  for (const std::string& id : plan.api_keys) w.value(id);
  w.end_array().end_object();
  return w.take();
}

Result<Plan> parse_plan(const std::string& text) {
  auto document = json::Document::parse(text);
  if (!document) return damaged("an erasure");
  const json::Value root = document->root();
  const auto text_of = [](const json::Value& value) { return std::string(value.as_string().value_or("")); };
  Plan plan{text_of(root["kind"]), text_of(root["name"]), text_of(root["by"]), {}, {}};
  for (std::size_t i = 0; i < root["records"].size(); ++i) {
    const json::Value each = root["records"].at(i);
    plan.records.push_back({text_of(each["id"]), text_of(each["key"])});
  }
  for (std::size_t i = 0; i < root["api_keys"].size(); ++i) {
    plan.api_keys.push_back(text_of(root["api_keys"].at(i)));
  }
  return plan;
}

Result<void> add_record(Plan& plan, Upkeep::Opened& opened, const std::string& subject) {
  auto key = opened.store->data_key_id(opened.scope, subject);
  // One that was written before there were data keys has none; the record-seal key goes anyway.
  if (!key && !key.error().is(StorageError::NotFound)) return key.take_error();
  plan.records.push_back({subject, key ? *key : ""});
  return {};
}

using Users = std::vector<std::string>;

bool among(const Users& users, const std::string& user) {
  return std::find(users.begin(), users.end(), user) != users.end();
}

Result<void> add_users_files(Plan& plan, Upkeep::Opened& opened, const Users& users) {
  Page page{.limit = kPageRows};
  while (true) {
    BULKHEAD_TRY(files, opened.store->list_files(opened.scope, page));
    for (const FileRecord& file : files) {
      if (among(users, file.owner)) BULKHEAD_CHECK_OK(add_record(plan, opened, subject_of(file.id)));
    }
    if (files.size() < kPageRows) return {};
    page.after = files.back().id.str();
  }
}

Result<void> add_users_chats(Plan& plan, Upkeep::Opened& opened, const Users& users) {
  Page page{.limit = kPageRows};
  while (true) {
    BULKHEAD_TRY(chats, opened.store->list_chats(opened.scope, users, page));
    for (const ChatRecord& chat : chats) BULKHEAD_CHECK_OK(add_record(plan, opened, subject_of(chat.id)));
    if (chats.size() < kPageRows) return {};
    page.after = chats.back().id.str();
  }
}

Error nothing_there(std::string_view what) {
  return Error(StorageError::NotFound, "There is no such " + std::string(what) + " in this tenant's store.");
}

Result<Plan> make_plan(Upkeep::Opened& opened, const ErasureOrder& order) {
  Plan plan{std::string(kind_name(order.kind)), order.name, order.requested_by, {}, {}};
  switch (order.kind) {
    case ErasureOrder::Kind::Document: {
      const auto id = base::FileId::parse(order.name);
      if (!id) return nothing_there("document");
      BULKHEAD_TRY(found, opened.store->has_chunks(opened.scope, *id));
      static_cast<void>(found);
      BULKHEAD_CHECK_OK(add_record(plan, opened, subject_of(*id)));
      return plan;
    }
    case ErasureOrder::Kind::Chat: {
      const auto id = base::ChatId::parse(order.name);
      if (!id) return nothing_there("chat");
      BULKHEAD_TRY(found, opened.store->get_chat(opened.scope, *id));
      static_cast<void>(found);
      BULKHEAD_CHECK_OK(add_record(plan, opened, subject_of(*id)));
      return plan;
    }
    case ErasureOrder::Kind::User: break;
  }
  if (order.users.empty()) return nothing_there("user");
  BULKHEAD_CHECK_OK(add_users_files(plan, opened, order.users));
  BULKHEAD_CHECK_OK(add_users_chats(plan, opened, order.users));
  BULKHEAD_TRY(keys, opened.store->list_api_keys(opened.scope));
  for (const identity::ApiKeyRecord& key : keys) {
    if (among(order.users, key.user)) plan.api_keys.push_back(key.id.str());
  }
  if (plan.records.empty() && plan.api_keys.empty()) return nothing_there("user's data");
  return plan;
}

// Gone already is as good as deleted: an earlier run did it.
Result<void> unless_gone(Result<void> done) {
  if (!done && !done.error().is(StorageError::NotFound)) return done;
  return {};
}

Result<void> delete_record(Upkeep::Opened& opened, const std::string& subject) {
  const std::string id = subject.substr(subject.find('/') + 1);
  if (subject.starts_with("file/")) {
    const auto file = base::FileId::parse(id);
    return file ? unless_gone(opened.store->delete_file(opened.scope, *file)) : damaged("an erasure");
  }
  const auto chat = base::ChatId::parse(id);
  return chat ? unless_gone(opened.store->delete_chat(opened.scope, *chat)) : damaged("an erasure");
}

Result<bool> is_there(Upkeep::Opened& opened, const std::string& subject) {
  const std::string id = subject.substr(subject.find('/') + 1);
  auto answer = [](auto record) -> Result<bool> {
    if (record) return true;
    if (record.error().is(StorageError::NotFound)) return false;
    return record.take_error();
  };
  if (subject.starts_with("file/")) {
    const auto file = base::FileId::parse(id);
    return file ? answer(opened.store->get_file(opened.scope, *file)) : damaged("an erasure");
  }
  const auto chat = base::ChatId::parse(id);
  return chat ? answer(opened.store->get_chat(opened.scope, *chat)) : damaged("an erasure");
}

}  // namespace

struct Eraser::Impl {
  PlatformDatabase& platform;
  tenancy::TenantDirectory& tenants;
  Upkeep& upkeep;
  const crypto::SigningKey& signer;
  const base::Clock& clock;
  WorkRecorder* recorder = nullptr;
  std::mutex mutex;
  std::condition_variable freed;
  std::set<TenantId> erasing;  // one erasure a tenant at a time

  // The tenant's turn; ends with the object.
  class Turn {
   public:
    Turn(Impl* impl, TenantId tenant) : impl_(impl), tenant_(std::move(tenant)) {}
    Turn(Turn&& other) noexcept : impl_(std::exchange(other.impl_, nullptr)), tenant_(other.tenant_) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (!impl_) return;
      std::scoped_lock lock(impl_->mutex);
      impl_->erasing.erase(tenant_);
      impl_->freed.notify_all();
    }

   private:
    Impl* impl_;
    TenantId tenant_;
  };
  Turn wait_for_turn(const TenantId& tenant) {
    std::unique_lock lock(mutex);
    freed.wait(lock, [&] { return !erasing.contains(tenant); });
    erasing.insert(tenant);
    return Turn(this, tenant);
  }
  std::optional<Turn> turn_at_once(const TenantId& tenant) {
    std::scoped_lock lock(mutex);
    if (!erasing.insert(tenant).second) return std::nullopt;
    return Turn(this, tenant);
  }

  // Still to be done: what was asked for just now may be over since it was listed.
  bool is_pending(std::int64_t number) {
    auto pending = platform.pending_erasures();
    return pending && std::any_of(pending->begin(), pending->end(),
                                  [number](const auto& each) { return each.number == number; });
  }

  Result<void> resume_one(const PlatformDatabase::PendingWork& work) {
    const auto tenant = tenants.find(work.tenant);
    // With its tenant it is destroyed altogether.
    if (!tenant || tenant->state == tenancy::TenantState::Destroyed)
      return platform.forget_erasure(work.number);
    BULKHEAD_TRY(plan, parse_plan(work.plan));
    if (recorder) BULKHEAD_CHECK_OK(recorder->announce(WorkRecorder::Kind::Erasure, work.tenant));
    BULKHEAD_TRY(certificate, carry_out(work.tenant, work.number, plan));
    if (recorder) recorder->ended(WorkRecorder::Kind::Erasure, work.tenant, "resumed");
    base::log::info("erasure_resumed", {{"tenant", std::string_view(work.tenant.str())}});
    return {};
  }

  // Ends with the older keys destroyed. The version of the record-seal key that went.
  Result<std::uint32_t> renew_keys(const TenantId& tenant) {
    const tenancy::RotationOrder order{.tenant_key = true, .purposes = {crypto::Purpose::RecordSeal}};
    for (int attempt = 0; attempt < kRotateAttemptsMax; ++attempt) {
      BULKHEAD_CHECK_OK(upkeep.complete(tenant));
      std::uint32_t version = 0;
      {
        BULKHEAD_TRY(opened, upkeep.open(tenant));
        version = opened.scope.key_version(crypto::Purpose::RecordSeal);
      }
      auto begun = upkeep.rotate(tenant, order);
      if (!begun && begun.error().is(tenancy::TenancyError::Busy)) continue;
      if (!begun) return begun.take_error();
      BULKHEAD_CHECK_OK(upkeep.complete(tenant));
      return version;
    }
    return Error(
        StorageError::Busy,
        "The tenant's keys are being rotated. The erasure goes on by itself; ask for its certificate "
        "later.");
  }

  Result<void> verify(const TenantId& tenant, const Plan& plan, std::uint32_t version) {
    BULKHEAD_TRY(opened, upkeep.open(tenant));
    const Error still_there(StorageError::Busy,
                            "Something of it is still there. The erasure is tried again; ask for its "
                            "certificate later.");
    if (opened.scope.key(crypto::Purpose::RecordSeal, version)) return still_there;
    for (const auto& record : plan.records) {
      auto key = opened.store->data_key_id(opened.scope, record.id);
      if (key || !key.error().is(StorageError::NotFound)) return key ? still_there : key.take_error();
      BULKHEAD_TRY(there, is_there(opened, record.id));
      if (there) return still_there;
    }
    BULKHEAD_TRY(keys, opened.store->list_api_keys(opened.scope));
    for (const identity::ApiKeyRecord& key : keys) {
      for (const std::string& id : plan.api_keys) {
        if (key.id.str() == id) return still_there;
      }
    }
    return {};
  }

  Result<std::string> carry_out(const TenantId& tenant, std::int64_t number, const Plan& plan) {
    // From here on no restore brings any of it back.
    std::set<std::string> subjects;
    for (const auto& record : plan.records) subjects.insert(record.id);
    for (const std::string& id : plan.api_keys) subjects.insert("api_key/" + id);
    BULKHEAD_CHECK_OK(Tombstones(platform).note_erased(tenant, subjects));
    {
      BULKHEAD_TRY(opened, upkeep.open(tenant));
      for (const auto& record : plan.records) BULKHEAD_CHECK_OK(delete_record(opened, record.id));
      for (const std::string& text : plan.api_keys) {
        const auto id = base::ApiKeyId::parse(text);
        if (!id) return damaged("an erasure");
        BULKHEAD_CHECK_OK(unless_gone(opened.store->delete_api_key(opened.scope, *id)));
      }
    }
    BULKHEAD_TRY(version, renew_keys(tenant));
    BULKHEAD_CHECK_OK(verify(tenant, plan, version));
    const auto certificate = tenancy::make_erasure_certificate({.tenant = tenant.str(),
                                                                .kind = plan.kind,
                                                                .name = plan.name,
                                                                .requested_by = plan.requested_by,
                                                                .time = clock.wall(),
                                                                .records = plan.records,
                                                                .api_keys = plan.api_keys,
                                                                .record_seal_version = version},
                                                               signer);
    BULKHEAD_CHECK_OK(platform.end_erasure(number, certificate.json));
    return certificate.json;
  }
};

Eraser::Eraser(PlatformDatabase& platform, tenancy::TenantDirectory& tenants, Upkeep& upkeep,
               const crypto::SigningKey& signer, const base::Clock& clock)
    : impl_(new Impl{
          .platform = platform, .tenants = tenants, .upkeep = upkeep, .signer = signer, .clock = clock}) {}
Eraser::~Eraser() = default;

Result<Erasure> Eraser::erase(const TenantId& tenant, const ErasureOrder& order) {
  const Impl::Turn turn = impl_->wait_for_turn(tenant);
  std::optional<Plan> plan;
  {
    BULKHEAD_TRY(opened, impl_->upkeep.open(tenant));
    BULKHEAD_TRY(made, make_plan(opened, order));
    plan = std::move(made);
  }
  BULKHEAD_TRY(number, impl_->platform.begin_erasure(tenant, plan_json(*plan)));
  BULKHEAD_TRY(certificate, impl_->carry_out(tenant, number, *plan));
  return Erasure{std::move(certificate), std::move(plan->api_keys)};
}

Result<std::vector<std::string>> Eraser::certificates(const TenantId& tenant) {
  return impl_->platform.erasure_certificates(tenant);
}

void Eraser::record_with(WorkRecorder* recorder) { impl_->recorder = recorder; }

void Eraser::resume(const std::function<bool()>& stopping) {
  auto pending = impl_->platform.pending_erasures();
  if (!pending) return;
  for (const PlatformDatabase::PendingWork& each : *pending) {
    if (stopping()) return;
    // Somebody is at it, or at another one of this tenant's: the next call sees what is left.
    const auto turn = impl_->turn_at_once(each.tenant);
    if (!turn || !impl_->is_pending(each.number)) continue;
    auto done = impl_->resume_one(each);
    if (!done) {
      base::log::warning("erasure_delayed", {{"tenant", std::string_view(each.tenant.str())},
                                             {"error", done.error().name().code},
                                             {"detail", std::string_view(done.error().detail())}});
    }
  }
}

}  // namespace bulkhead::storage
