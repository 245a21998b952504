#include "storage/store_manager.h"

#include <algorithm>
#include <iterator>
#include <list>
#include <map>
#include <mutex>
#include <set>

#include "base/log.h"
#include "storage/passage.h"
#include "storage/sqlite_backend.h"
#include "storage/store_common.h"

namespace bulkhead::storage {
namespace {

// How long a request waits while a copy of the store has its instant.
constexpr std::chrono::seconds kHeldUpMax{20};

base::Error too_long(std::string detail) {
  return base::Error(StorageError::Busy, "The store is busy. Retry in a moment.", std::move(detail));
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
  struct Slot : std::enable_shared_from_this<Slot> {
    std::mutex mutex;
    std::shared_ptr<OpenStore> store;
    std::optional<tenancy::TenantScope> scope;  // of the newest opening, while the store is open
    std::shared_ptr<Journal> journal;           // while a copy is being made
    Passage passage;                            // of the handles
    std::list<Slot*>::iterator use;             // its place in `by_use` while open; under Impl::mutex
    bool open = false;                          // under Impl::mutex
  };
  class SlotWatch;

  tenancy::TenantDirectory& tenants;
  tenancy::PlatformAccess access;
  const base::Clock& clock;
  const std::size_t open_stores_max;
  ExpiryRecords expiry;
  std::map<std::string, std::unique_ptr<StoreBackend>, std::less<>> backends;  // fixed once serving

  mutable std::mutex mutex;
  std::map<base::TenantId, std::shared_ptr<Slot>> slots;
  std::list<Slot*> by_use;  // the open ones, least recently used first
  std::set<base::TenantId> in_need_of_upkeep;

  std::shared_ptr<Slot> slot_of(const base::TenantId& tenant, bool make) {
    std::scoped_lock lock(mutex);
    const auto found = slots.find(tenant);
    if (found != slots.end()) return found->second;
    if (!make) return nullptr;
    return slots.emplace(tenant, std::make_shared<Slot>()).first->second;
  }

  // Least recently used first.
  std::vector<std::shared_ptr<Slot>> open_slots() const {
    std::scoped_lock lock(mutex);
    std::vector<std::shared_ptr<Slot>> list;
    for (Slot* slot : by_use) list.push_back(slot->shared_from_this());
    return list;
  }

  // Under slot.mutex.
  void note_used(Slot& slot) {
    std::scoped_lock lock(mutex);
    if (slot.open) {
      by_use.splice(by_use.end(), by_use, slot.use);
    } else {
      slot.use = by_use.insert(by_use.end(), &slot);
      slot.open = true;
    }
  }
  // Under slot.mutex. The store goes; who still holds it keeps it alive.
  void drop_store(Slot& slot) {
    slot.store.reset();
    slot.scope.reset();
    std::scoped_lock lock(mutex);
    if (std::exchange(slot.open, false)) by_use.erase(slot.use);
  }

  void note_upkeep(const base::TenantId& tenant) {
    std::scoped_lock lock(mutex);
    in_need_of_upkeep.insert(tenant);
  }

  base::Result<StoreBackend*> backend_of(const tenancy::Tenant& tenant) const {
    return backend_at(tenant.id, tenant.policy.store);
  }
  base::Result<StoreBackend*> backend_at(const base::TenantId& tenant, const std::string& name) const {
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
    if (!backend->offers(record->mode)) {
      return base::Error(StorageError::Misconfigured,
                         "This tenant's store is not set up as it must be. Tell your operator.",
                         "store \"" + record->policy.store + "\" can't give mode " +
                             std::string(tenancy::mode_name(record->mode)));
    }
    return backend->open(scope);
  }

  // The slot's store, opened when needed. Not counted by its passage.
  base::Result<std::shared_ptr<OpenStore>> enter(Slot& slot, const tenancy::TenantScope& scope);

  // Closes the stores that were idle longest, until no more than the maximum are open. A store that
  // somebody holds stays, so the maximum may be passed while that many are in use at once.
  void evict() {
    if (open_count() <= open_stores_max) return;
    for (const std::shared_ptr<Slot>& slot : open_slots()) {
      if (open_count() <= open_stores_max) return;
      std::unique_lock lock(slot->mutex, std::try_to_lock);
      // One reference is the slot's own; handles are made under the slot's mutex only.
      if (lock && slot->store && slot->store.use_count() == 1) drop_store(*slot);
    }
  }
  std::size_t open_count() const {
    std::scoped_lock lock(mutex);
    return by_use.size();
  }

  // Nothing: the store is not open, or busy.
  std::optional<base::Result<FoundApiKey>> find_in_open_store(const base::TenantId& tenant,
                                                              const base::ApiKeyId& id) {
    const auto slot = slot_of(tenant, false);
    if (!slot) return std::nullopt;
    std::unique_lock lock(slot->mutex, std::try_to_lock);
    if (!lock || !slot->store || !slot->scope) return std::nullopt;
    return slot->store->try_find_api_key(*slot->scope, id);
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
    return backend->find_api_key(tenant, database_keys(), id);
  }

  DatabaseKeysOf database_keys() const {
    return [this](const base::TenantId& tenant) { return access.database_keys(tenant); };
  }
};

StoreManager::StoreManager(std::filesystem::path data_dir, tenancy::TenantDirectory& tenants,
                           const base::Clock& clock, std::size_t open_stores_max)
    : impl_(new Impl{.tenants = tenants,
                     .access = tenants.take_platform_access(),
                     .clock = clock,
                     .open_stores_max = std::max<std::size_t>(open_stores_max, 1)}) {
  std::error_code failed;
  auto root = std::filesystem::canonical(data_dir, failed);
  add_backend("", std::make_unique<SqliteBackend>(failed ? std::move(data_dir) : std::move(root), clock));
}

StoreManager::~StoreManager() = default;

const tenancy::PlatformAccess& StoreManager::platform_access() const { return impl_->access; }

void StoreManager::add_backend(std::string name, std::unique_ptr<StoreBackend> backend) {
  impl_->backends.insert_or_assign(std::move(name), std::move(backend));
}

base::Result<void> StoreManager::check_offers(const std::string& store, tenancy::IsolationMode mode) const {
  const auto found = impl_->backends.find(store);
  if (found == impl_->backends.end()) {
    return base::Error(StorageError::Misconfigured,
                       "There is no [[store]] named '" + store + "' in the configuration.");
  }
  if (found->second->offers(mode)) return {};
  if (store.empty()) {
    return base::Error(
        StorageError::Misconfigured,
        "Mode 'pooled' needs a PostgreSQL store with layout \"row_level_security\": name one with "
        "'store'.");
  }
  return base::Error(StorageError::Misconfigured,
                     "Store '" + store + "' can't give mode '" + std::string(tenancy::mode_name(mode)) +
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
      fresh = true;
      if (slot.store->needs_upkeep()) note_upkeep(scope.tenant());
    }
    slot.scope = scope;
    note_used(slot);
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
  return backend->open(scope);
}

base::Result<tenancy::TenantEraser::Report> StoreManager::erase_at(const base::TenantId& tenant,
                                                                   const std::string& place) {
  BULKHEAD_TRY(backend, impl_->backend_at(tenant, place));
  return backend->erase(tenant);
}

void StoreManager::close(const base::TenantId& tenant) {
  const auto slot = impl_->slot_of(tenant, false);
  if (!slot) return;
  std::scoped_lock lock(slot->mutex);
  if (!slot->store) return;
  // Waits for calls inside; handles that are still out there give TenantGone from now on.
  slot->store->shut();
  impl_->drop_store(*slot);
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
    impl_->drop_store(*slot);
  }
  Report report;
  // Whatever its record says, what lies in the embedded place goes too.
  BULKHEAD_TRY(embedded, impl_->backend_at(tenant, ""));
  std::vector<StoreBackend*> places{embedded};
  if (const auto record = impl_->tenants.find(tenant)) {
    BULKHEAD_TRY(own, impl_->backend_of(*record));
    if (own != embedded) places.insert(places.begin(), own);
  }
  for (StoreBackend* place : places) {
    BULKHEAD_TRY(erased, place->erase(tenant));
    report.bytes += erased.bytes;
    std::move(erased.removed.begin(), erased.removed.end(), std::back_inserter(report.removed));
  }
  std::sort(report.removed.begin(), report.removed.end());
  return report;
}

base::Result<FoundApiKey> StoreManager::find_api_key(const base::TenantId& tenant, const base::ApiKeyId& id) {
  if (auto found = impl_->find_in_open_store(tenant, id)) return std::move(*found);
  return impl_->find_in_closed_store(tenant, id);
}

base::Result<StoreProbe> StoreManager::probe(const base::TenantId& tenant, const base::TenantId& other) {
  const auto record = impl_->tenants.find(tenant);
  if (!record) return base::Error(StorageError::NotFound, "No such tenant.");
  BULKHEAD_TRY(backend, impl_->backend_of(*record));
  return backend->probe(tenant, other, impl_->database_keys());
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

std::size_t StoreManager::open_count() const { return impl_->open_count(); }

}  // namespace bulkhead::storage
