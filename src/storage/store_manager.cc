#include "storage/store_manager.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>
#include <set>

#include "base/file.h"
#include "base/log.h"
#include "crypto/random.h"
#include "identity/error.h"
#include "storage/passage.h"
#include "storage/sqlite_error.h"
#include "storage/sqlite_store.h"
#include "storage/tenant_schema.h"
#include "storage/tombstones.h"

namespace bulkhead::storage {
namespace {

// How long a request waits while a copy of the store has its instant.
constexpr std::chrono::seconds kHeldUpMax{20};

base::Error too_long(std::string detail) {
  return base::Error(StorageError::Busy, "The store is busy. Retry in a moment.", std::move(detail));
}

base::Error api_key_unknown() {
  return base::Error(identity::IdentityError::ApiKeyUnknown,
                     "The API key is not valid. Check it, or make a new one.");
}

// Only what a suspended tenant may learn is told apart; all else looks like an unknown key.
base::Error as_identity_error(const base::Error& error) {
  if (error.is(tenancy::TenancyError::TenantSuspended)) {
    return base::Error(identity::IdentityError::TenantSuspended,
                       "This tenant is suspended. Ask your operator.", error.detail());
  }
  if (error.is(tenancy::TenancyError::UnknownTenant) || error.is(tenancy::TenancyError::TenantDestroyed)) {
    return api_key_unknown();
  }
  return error;
}

base::Error folder_error(const base::Error& cause) {
  return base::Error(StorageError::Io,
                     "The server could not read or write its storage. Retry; if it goes on, tell "
                     "your operator.",
                     cause.describe());
}

base::Result<void> sync_folder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return system_error("can't open " + folder.string(), errno);
  const int synced = ::fsync(fd);
  const int reason = errno;
  ::close(fd);
  if (synced != 0) return system_error("can't sync " + folder.string(), reason);
  return {};
}

// A sweep that fails costs nobody a request: expired chats are not given out, and the next one tries again.
std::size_t remove_expired(TenantStore& store, const tenancy::TenantScope& scope, std::int64_t now,
                           const StoreManager::ExpiryRecords& records) {
  if (records.may_remove && !records.may_remove()) return 0;
  auto removed = store.delete_expired_chats(scope, now);
  if (removed) {
    if (*removed > 0 && records.removed) records.removed(scope.tenant(), *removed);
    return *removed;
  }
  base::log::warning("expired_chats_not_removed", {{"tenant", std::string_view(scope.tenant().str())},
                                                   {"detail", std::string_view(removed.error().detail())}});
  return 0;
}

}  // namespace

struct StoreManager::Impl {
  // One per tenant that was ever opened. Its mutex makes opening single-flight and keeps close and
  // open apart.
  struct Slot {
    std::mutex mutex;
    std::shared_ptr<OpenStore> store;
    std::optional<tenancy::TenantScope> scope;  // of the newest opening, while the store is open
    std::shared_ptr<Journal> journal;           // while a copy is being made
    Passage passage;                            // of the handles
    std::uint64_t last_use = 0;                 // under Impl::mutex
    bool open = false;                          // under Impl::mutex
  };
  class SlotWatch;

  std::filesystem::path data_dir;
  PlatformDatabase& platform;
  tenancy::TenantDirectory& tenants;
  tenancy::PlatformAccess access;
  const base::Clock& clock;
  const std::size_t open_stores_max;
  ExpiryRecords expiry;
  std::map<std::string, std::unique_ptr<StoreBackend>, std::less<>> backends;  // fixed once serving

  mutable std::mutex mutex;
  std::map<base::TenantId, std::shared_ptr<Slot>> slots;
  std::uint64_t uses = 0;
  std::size_t open_count = 0;
  std::set<base::TenantId> in_need_of_upkeep;
  std::mutex operator_mutex;
  std::optional<base::Secret> operator_hash;

  std::shared_ptr<Slot> slot_of(const base::TenantId& tenant, bool make) {
    std::scoped_lock lock(mutex);
    const auto found = slots.find(tenant);
    if (found != slots.end()) return found->second;
    if (!make) return nullptr;
    return slots.emplace(tenant, std::make_shared<Slot>()).first->second;
  }

  std::vector<std::shared_ptr<Slot>> open_slots() const {
    std::vector<std::shared_ptr<Slot>> list;
    std::scoped_lock lock(mutex);
    for (const auto& [tenant, slot] : slots) {
      if (slot->open) list.push_back(slot);
    }
    return list;
  }

  // Under slot.mutex.
  void note_open(Slot& slot, bool open) {
    std::scoped_lock lock(mutex);
    if (slot.open != open) open_count += open ? 1 : static_cast<std::size_t>(-1);
    slot.open = open;
  }
  void note_use(Slot& slot) {
    std::scoped_lock lock(mutex);
    slot.last_use = ++uses;
  }

  void note_upkeep(const base::TenantId& tenant) {
    std::scoped_lock lock(mutex);
    in_need_of_upkeep.insert(tenant);
  }

  base::Result<std::filesystem::path> make_folder(const base::TenantId& tenant) {
    const auto folder = tenant_folder(data_dir, tenant);
    std::error_code ignored;
    if (std::filesystem::is_directory(folder, ignored)) return folder;
    for (const auto& each : {folder.parent_path(), folder}) {
      if (auto made = base::make_private_directory(each); !made) return folder_error(made.error());
    }
    BULKHEAD_CHECK_OK(sync_folder(folder.parent_path()));
    BULKHEAD_CHECK_OK(sync_folder(data_dir));
    return folder;
  }

  // Null for the embedded backend.
  base::Result<StoreBackend*> backend_of(const tenancy::Tenant& tenant) const {
    return backend_at(tenant.id, tenant.policy.store);
  }
  base::Result<StoreBackend*> backend_at(const base::TenantId& tenant, const std::string& name) const {
    if (name.empty()) return static_cast<StoreBackend*>(nullptr);
    const auto found = backends.find(name);
    if (found != backends.end()) return found->second.get();
    return base::Error(StorageError::Misconfigured,
                       "This tenant's store is not configured. Tell your operator.",
                       "tenant " + tenant.str() + " has its data in store \"" + name +
                           "\", but the configuration has no [[store]] of that name");
  }

  base::Result<std::shared_ptr<OpenStore>> open_store(const tenancy::TenantScope& scope) {
    // As it is now: the scope may be of before its tenant was moved.
    const auto record = tenants.find(scope.tenant());
    if (!record) return tenant_gone(scope.tenant());
    BULKHEAD_TRY(backend, backend_of(*record));
    // A store that was configured anew with another layout must not hold the tenant with a weaker wall.
    if (backend && !backend->offers(record->mode)) {
      return base::Error(StorageError::Misconfigured,
                         "This tenant's store is not set up as it must be. Tell your operator.",
                         "store \"" + record->policy.store + "\" can't give mode " +
                             std::string(tenancy::mode_name(record->mode)));
    }
    return open_place(scope, backend);
  }

  base::Result<std::shared_ptr<OpenStore>> open_place(const tenancy::TenantScope& scope,
                                                      StoreBackend* backend) {
    if (backend) return backend->open(scope);
    BULKHEAD_TRY(folder, make_folder(scope.tenant()));
    BULKHEAD_TRY(opened, SqliteStore::open(scope, folder / "store.db", clock));
    return std::shared_ptr<OpenStore>(std::move(opened));
  }

  // The slot's store, opened when needed. Not counted by its passage.
  base::Result<std::shared_ptr<OpenStore>> enter(Slot& slot, const tenancy::TenantScope& scope);
  base::Result<void> erase_folder(const base::TenantId& tenant, Report& report);

  // Closes the stores that were idle longest, until no more than the maximum are open. A store that
  // somebody holds stays, so the maximum may be passed while that many are in use at once.
  void evict() {
    while (true) {
      std::vector<std::pair<std::uint64_t, std::shared_ptr<Slot>>> by_age;
      std::size_t surplus = 0;
      {
        std::scoped_lock lock(mutex);
        if (open_count <= open_stores_max) return;
        surplus = open_count - open_stores_max;
        for (const auto& [tenant, slot] : slots) {
          if (slot->open) by_age.emplace_back(slot->last_use, slot);
        }
      }
      std::sort(by_age.begin(), by_age.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
      std::size_t closed = 0;
      for (const auto& [age, slot] : by_age) {
        if (closed == surplus) break;
        std::unique_lock lock(slot->mutex, std::try_to_lock);
        // One reference is the slot's own; handles are made under the slot's mutex only.
        if (!lock || !slot->store || slot->store.use_count() > 1) continue;
        slot->store.reset();
        slot->scope.reset();
        note_open(*slot, false);
        ++closed;
      }
      if (closed == 0) return;
    }
  }

  base::Result<crypto::Digest> operator_key_hash(std::string_view key_text) {
    std::scoped_lock lock(operator_mutex);
    if (!operator_hash) {
      BULKHEAD_TRY(key, platform.secret("operator-key-hash"));
      operator_hash = std::move(key);
    }
    return identity::api_key_hash(*operator_hash, key_text);
  }

  base::Result<Entry> find_operator_key(const base::ApiKeyId& id, std::string_view key_text) {
    BULKHEAD_TRY(keys, platform.operator_keys());
    for (identity::ApiKeyRecord& record : keys) {
      if (record.id != id) continue;
      BULKHEAD_TRY(expected, operator_key_hash(key_text));
      return Entry{std::move(record), expected};
    }
    return api_key_unknown();
  }

  base::Result<FoundApiKey> find_in_open_store(const base::TenantId& tenant, const base::ApiKeyId& id,
                                               bool& answered) {
    answered = false;
    const auto slot = slot_of(tenant, false);
    if (!slot) return FoundApiKey();
    std::unique_lock lock(slot->mutex, std::try_to_lock);
    if (!lock || !slot->store || !slot->scope) return FoundApiKey();
    auto found = slot->store->try_find_api_key(*slot->scope, id);
    if (!found) return FoundApiKey();
    answered = true;
    return std::move(*found);
  }

  // The keys may be changed between asking for them and reading with them; the newer ones read then.
  base::Result<FoundApiKey> find_in_closed_store(const base::TenantId& tenant, const base::ApiKeyId& id) {
    auto found = read_closed_store(tenant, id);
    const bool other_key =
        !found && (found.error().is(StorageError::WrongKey) || found.error().is(StorageError::SealBroken));
    return other_key ? read_closed_store(tenant, id) : std::move(found);
  }

  base::Result<FoundApiKey> read_closed_store(const base::TenantId& tenant, const base::ApiKeyId& id) {
    const auto record = tenants.find(tenant);
    if (!record) return FoundApiKey();
    BULKHEAD_TRY(backend, backend_of(*record));
    if (backend) {
      auto keys = access.database_keys(tenant);
      if (!keys) return as_identity_error(keys.error());
      return backend->find_api_key(tenant, *keys, id);
    }
    const auto path = tenant_database_path(data_dir, tenant);
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) return FoundApiKey();
    auto keys = access.database_keys(tenant);
    if (!keys) return as_identity_error(keys.error());
    std::optional<base::Error> failure;
    for (const base::Secret& key : *keys) {
      auto database = open_tenant_database(path, key, SqliteDatabase::Mode::ReadOnly);
      if (database) return read_api_key(**database, id);
      if (!database.error().is(StorageError::WrongKey)) return database.take_error();
      if (!failure) failure = database.take_error();
    }
    return std::move(*failure);
  }
};

StoreManager::StoreManager(std::filesystem::path data_dir, PlatformDatabase& platform,
                           tenancy::TenantDirectory& tenants, const base::Clock& clock,
                           std::size_t open_stores_max)
    : impl_(new Impl{.platform = platform,
                     .tenants = tenants,
                     .access = tenants.take_platform_access(),
                     .clock = clock,
                     .open_stores_max = std::max<std::size_t>(open_stores_max, 1)}) {
  std::error_code failed;
  auto root = std::filesystem::canonical(data_dir, failed);
  impl_->data_dir = failed ? std::move(data_dir) : std::move(root);
}

StoreManager::~StoreManager() = default;

const tenancy::PlatformAccess& StoreManager::platform_access() const { return impl_->access; }

void StoreManager::add_backend(std::string name, std::unique_ptr<StoreBackend> backend) {
  impl_->backends.insert_or_assign(std::move(name), std::move(backend));
}

base::Result<void> StoreManager::check_offers(const std::string& store, tenancy::IsolationMode mode) const {
  const std::string wanted(tenancy::mode_name(mode));
  if (store.empty()) {
    if (mode != tenancy::IsolationMode::Pooled) return {};
    return base::Error(
        StorageError::Misconfigured,
        "Mode 'pooled' needs a PostgreSQL store with layout \"row_level_security\": name one with "
        "'store'.");
  }
  const auto found = impl_->backends.find(store);
  if (found == impl_->backends.end()) {
    return base::Error(StorageError::Misconfigured,
                       "There is no [[store]] named '" + store + "' in the configuration.");
  }
  if (found->second->offers(mode)) return {};
  return base::Error(StorageError::Misconfigured,
                     "Store '" + store + "' can't give mode '" + wanted +
                         "': layout \"schema\" gives hybrid, "
                         "\"database\" silo or hybrid, \"row_level_security\" pooled.");
}

base::Result<std::shared_ptr<OpenStore>> StoreManager::Impl::enter(Slot& slot,
                                                                   const tenancy::TenantScope& scope) {
  std::shared_ptr<OpenStore> store;
  bool fresh = false;
  {
    std::scoped_lock lock(slot.mutex);
    // A scope is cut before its tenant's store is closed, and closing takes this mutex: so whoever
    // comes here after a close sees a dead scope and makes nothing anew.
    if (!scope.alive()) {
      return base::Error(
          StorageError::TenantGone,
          "This tenant was suspended or destroyed, or its key was withdrawn. Ask your operator.",
          "scope of " + scope.tenant().str() + " was cut");
    }
    if (!slot.store) {
      BULKHEAD_TRY(opened, open_store(scope));
      slot.store =
          slot.journal ? std::make_shared<WatchedStore>(std::move(opened), slot.journal) : std::move(opened);
      note_open(slot, true);
      fresh = true;
      if (slot.store->needs_upkeep()) note_upkeep(scope.tenant());
    }
    slot.scope = scope;
    note_use(slot);
    store = slot.store;
  }
  // What expired while the store was closed goes before anybody uses it.
  if (fresh) static_cast<void>(remove_expired(*store, scope, clock.unix_seconds(), expiry));
  evict();
  return store;
}

base::Result<std::shared_ptr<TenantStore>> StoreManager::open(const tenancy::TenantScope& scope) {
  const auto slot = impl_->slot_of(scope.tenant(), true);
  if (!slot->passage.enter(kHeldUpMax)) return too_long("a copy of the store took too long");
  auto store = impl_->enter(*slot, scope);
  if (!store) {
    slot->passage.leave();
    return store.take_error();
  }
  TenantStore* raw = store->get();
  return std::shared_ptr<TenantStore>(raw, [slot, store = std::move(*store)](TenantStore*) mutable {
    store.reset();
    slot->passage.leave();
  });
}

std::shared_ptr<base::Event> StoreManager::held_up(const base::TenantId& tenant) const {
  const auto slot = impl_->slot_of(tenant, false);
  return slot ? slot->passage.reopening() : nullptr;
}

// Its store is wrapped in a WatchedStore from its beginning to its end, whoever opens it anew in between.
class StoreManager::Impl::SlotWatch final : public Watch {
 public:
  SlotWatch(Impl& manager, std::shared_ptr<Slot> slot) : manager_(manager), slot_(std::move(slot)) {}
  ~SlotWatch() override {
    if (frozen_) thaw();
    std::scoped_lock lock(slot_->mutex);
    slot_->journal.reset();
    if (const auto* watched = dynamic_cast<const WatchedStore*>(slot_->store.get())) {
      slot_->store = std::shared_ptr<OpenStore>(watched->watched());
    }
  }
  // With the passage closed: no handle on the bare store is left.
  bool begin() {
    std::scoped_lock lock(slot_->mutex);
    if (slot_->journal) return false;
    slot_->journal = std::make_shared<Journal>();
    if (slot_->store) slot_->store = std::make_shared<WatchedStore>(std::move(slot_->store), slot_->journal);
    return true;
  }
  Journal& journal() override { return *slot_->journal; }
  base::Result<std::shared_ptr<TenantStore>> store(const tenancy::TenantScope& scope) override {
    BULKHEAD_TRY(opened, manager_.enter(*slot_, scope));
    return std::shared_ptr<TenantStore>(std::move(opened));
  }
  bool freeze(std::chrono::milliseconds time) override { return frozen_ = slot_->passage.close(time); }
  void thaw() override {
    slot_->passage.open();
    frozen_ = false;
  }

 private:
  Impl& manager_;
  const std::shared_ptr<Slot> slot_;
  bool frozen_ = false;
};

base::Result<std::unique_ptr<StoreManager::Watch>> StoreManager::watch(const base::TenantId& tenant,
                                                                       std::chrono::milliseconds time) {
  const auto slot = impl_->slot_of(tenant, true);
  {
    std::scoped_lock lock(slot->mutex);
    if (slot->journal) return too_long("another copy of the store of " + tenant.str() + " is being made");
  }
  if (!slot->passage.close(time))
    return too_long("the store of " + tenant.str() + " is in use without a pause");
  auto watch = std::make_unique<Impl::SlotWatch>(*impl_, slot);
  const bool begun = watch->begin();
  slot->passage.open();
  if (!begun) return too_long("another copy of the store of " + tenant.str() + " is being made");
  return std::unique_ptr<Watch>(std::move(watch));
}

base::Result<std::shared_ptr<OpenStore>> StoreManager::open_at(const tenancy::TenantScope& scope,
                                                               const std::string& place) {
  BULKHEAD_TRY(backend, impl_->backend_at(scope.tenant(), place));
  return impl_->open_place(scope, backend);
}

base::Result<tenancy::TenantEraser::Report> StoreManager::erase_at(const base::TenantId& tenant,
                                                                   const std::string& place) {
  Report report;
  BULKHEAD_TRY(backend, impl_->backend_at(tenant, place));
  if (backend) return backend->erase(tenant);
  BULKHEAD_CHECK_OK(impl_->erase_folder(tenant, report));
  return report;
}

void StoreManager::close(const base::TenantId& tenant) {
  const auto slot = impl_->slot_of(tenant, false);
  if (!slot) return;
  std::scoped_lock lock(slot->mutex);
  if (!slot->store) return;
  // Waits for calls inside; handles that are still out there give TenantGone from now on.
  slot->store->shut();
  slot->store.reset();
  slot->scope.reset();
  impl_->note_open(*slot, false);
}

std::size_t StoreManager::delete_expired_chats() {
  std::size_t removed = 0;
  for (const auto& slot : impl_->open_slots()) {
    std::shared_ptr<TenantStore> store;
    std::optional<tenancy::TenantScope> scope;
    {
      std::scoped_lock lock(slot->mutex);
      store = slot->store;
      scope = slot->scope;
    }
    if (!store || !scope || !scope->alive()) continue;
    removed += remove_expired(*store, *scope, impl_->clock.unix_seconds(), impl_->expiry);
  }
  return removed;
}

void StoreManager::record_expiry(ExpiryRecords records) { impl_->expiry = std::move(records); }

void StoreManager::forget_pages() {
  for (const auto& slot : impl_->open_slots()) {
    // Who holds the slot is opening or closing the store; then there is nothing to give back yet, or all is.
    std::unique_lock lock(slot->mutex, std::try_to_lock);
    if (lock && slot->store) slot->store->forget_pages();
  }
}

base::Result<tenancy::TenantEraser::Report> StoreManager::erase(const base::TenantId& tenant) {
  const auto slot = impl_->slot_of(tenant, true);
  std::scoped_lock lock(slot->mutex);
  if (slot->store) {
    slot->store->shut();
    slot->store.reset();
    slot->scope.reset();
    impl_->note_open(*slot, false);
  }
  Report report;
  if (const auto record = impl_->tenants.find(tenant)) {
    BULKHEAD_TRY(backend, impl_->backend_of(*record));
    if (backend) {
      BULKHEAD_TRY(erased, backend->erase(tenant));
      report = std::move(erased);
    }
  }
  BULKHEAD_CHECK_OK(impl_->erase_folder(tenant, report));
  return report;
}

base::Result<void> StoreManager::Impl::erase_folder(const base::TenantId& tenant, Report& report) {
  const auto folder = tenant_folder(data_dir, tenant);
  std::error_code failed;
  if (!std::filesystem::exists(std::filesystem::symlink_status(folder, failed))) return {};
  for (std::filesystem::recursive_directory_iterator each(folder, failed), end; !failed && each != end;
       each.increment(failed)) {
    if (!each->is_symlink(failed) && each->is_directory(failed)) continue;
    report.removed.push_back(each->path().lexically_relative(data_dir).string());
    if (each->is_regular_file(failed)) report.bytes += each->file_size(failed);
  }
  if (!failed) std::filesystem::remove_all(folder, failed);
  if (failed) return system_error("can't erase " + folder.string(), failed.value());
  BULKHEAD_CHECK_OK(sync_folder(folder.parent_path()));
  std::sort(report.removed.begin(), report.removed.end());
  return {};
}

base::Result<identity::ApiKeyDirectory::Entry> StoreManager::find(const identity::ParsedApiKey& key,
                                                                  std::string_view key_text) {
  if (!key.tenant) return impl_->find_operator_key(key.id, key_text);
  // First of all: it fails for a tenant that does not exist or may not act.
  auto expected = impl_->access.api_key_hash(*key.tenant, key_text);
  if (!expected) return as_identity_error(expected.error());
  bool answered = false;
  BULKHEAD_TRY(record, impl_->find_in_open_store(*key.tenant, key.id, answered));
  if (!answered) {
    BULKHEAD_TRY(read, impl_->find_in_closed_store(*key.tenant, key.id));
    record = std::move(read);
  }
  if (!record) return api_key_unknown();
  // A store that was brought back from outside brings no revoked key back.
  BULKHEAD_TRY(revoked, Tombstones(impl_->platform).is_revoked(*key.tenant, key.id));
  record->revoked = record->revoked || revoked;
  return Entry{std::move(*record), *expected};
}

base::Result<StoreProbe> StoreManager::probe(const base::TenantId& tenant, const base::TenantId& other) {
  const auto record = impl_->tenants.find(tenant);
  if (!record) return base::Error(StorageError::NotFound, "No such tenant.");
  BULKHEAD_TRY(backend, impl_->backend_of(*record));
  if (backend) return backend->probe(tenant, other);
  BULKHEAD_TRY(keys, impl_->access.database_keys(tenant));
  auto foreign = impl_->access.database_keys(other);
  const auto file = tenant_database_path(impl_->data_dir, tenant);
  // While keys are rotated, the file may be under the older one.
  std::size_t used = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (open_tenant_database(file, keys[i], SqliteDatabase::Mode::ReadOnly)) used = i;
  }
  const base::Secret& own = keys[used];
  const base::Secret foreign_key = foreign ? foreign->front().clone() : crypto::random_secret(own.size());
  StoreProbe seen = probe_embedded(file, own, foreign_key,
                                   foreign ? "the key of tenant " + other.str() : "a key of nobody's",
                                   impl_->clock.unix_seconds());
  seen.place = "embedded, " + file.lexically_relative(impl_->data_dir).string();
  return seen;
}

std::vector<base::TenantId> StoreManager::take_upkeep() {
  std::scoped_lock lock(impl_->mutex);
  std::vector<base::TenantId> tenants(impl_->in_need_of_upkeep.begin(), impl_->in_need_of_upkeep.end());
  impl_->in_need_of_upkeep.clear();
  return tenants;
}

bool StoreManager::is_open(const base::TenantId& tenant) const {
  std::scoped_lock lock(impl_->mutex);
  const auto found = impl_->slots.find(tenant);
  return found != impl_->slots.end() && found->second->open;
}

std::optional<Usage> StoreManager::usage_seen(const base::TenantId& tenant) const {
  std::shared_ptr<Impl::Slot> slot;
  {
    std::scoped_lock lock(impl_->mutex);
    const auto found = impl_->slots.find(tenant);
    if (found == impl_->slots.end() || !found->second->open) return std::nullopt;
    slot = found->second;
  }
  std::unique_lock lock(slot->mutex, std::try_to_lock);
  if (!lock || !slot->store) return std::nullopt;
  return slot->store->usage_seen();
}

Usage StoreManager::usage_seen() const {
  std::vector<base::TenantId> open;
  {
    std::scoped_lock lock(impl_->mutex);
    for (const auto& [tenant, slot] : impl_->slots) {
      if (slot->open) open.push_back(tenant);
    }
  }
  Usage sum;
  for (const base::TenantId& tenant : open) {
    const Usage one = usage_seen(tenant).value_or(Usage());
    sum.bytes += one.bytes;
    sum.files += one.files;
    sum.vector_stores += one.vector_stores;
    sum.chats += one.chats;
    sum.api_keys += one.api_keys;
  }
  return sum;
}

std::size_t StoreManager::open_count() const {
  std::scoped_lock lock(impl_->mutex);
  return impl_->open_count;
}

}  // namespace bulkhead::storage
