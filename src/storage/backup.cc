#include "storage/backup.h"

#include <algorithm>
#include <charconv>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "storage/record_json.h"
#include "storage/record_parts.h"
#include "storage/seal.h"

namespace bulkhead::storage {
namespace {

namespace json = base::json;
using base::Error;
using base::Result;
using base::TenantId;

constexpr std::string_view kTenantFormat = "bulkhead/tenant/2";
constexpr std::size_t kTenantParts = 11;
// As versions before users had issuers wrote it: without the last two parts.
constexpr std::string_view kTenantFormat1 = "bulkhead/tenant/1";
constexpr std::size_t kTenantParts1 = 9;
// Of the list of tombstones in an archive. A longer one is left out, and the restore says so.
constexpr std::size_t kTombstonesBytesMax = 512 << 10;
constexpr std::string_view kAdoptedSetting = "adopted-api-keys/";
constexpr std::string_view kReplacingSetting = "restore-replaces/";

Error refused(std::string message, std::string detail = {}) {
  return Error(StorageError::BackupRefused, std::move(message), std::move(detail));
}

Error in_use() {
  return Error(StorageError::Busy, "Another backup or restore is under way. Wait until it has ended.");
}

// "=" and the issuer; "" for nobody's.
std::string legacy_part(const LegacyUsers* users, const TenantId& tenant) {
  const auto issuer = users ? users->issuer_of(tenant) : std::nullopt;
  return issuer ? "=" + *issuer : std::string();
}

base::Bytes tenant_facts(const tenancy::TenantScope& scope, const tenancy::Tenant& tenant,
                         const std::string& legacy, const std::string& tombstones) {
  return pack_parts({kTenantFormat, tenant.id.str(), tenant.display_name, tenancy::mode_name(tenant.mode),
                     tenancy::state_name(tenant.state), std::to_string(tenant.created),
                     tenant.policy.to_json(), scope.key(crypto::Purpose::ApiKeyHash).reveal_text(),
                     scope.key(crypto::Purpose::AuditHash).reveal_text(), legacy, tombstones});
}

template <typename Enum>
std::optional<Enum> named(std::string_view name, std::initializer_list<Enum> all,
                          std::string_view (*name_of)(Enum)) {
  for (const Enum each : all) {
    if (name_of(each) == name) return each;
  }
  return std::nullopt;
}

std::string ids_json(const std::vector<base::ApiKeyId>& ids) {
  json::Writer w;
  w.begin_array();
  for (const base::ApiKeyId& id : ids) w.value(id.str());
  w.end_array();
  return w.take();
}

bool has_expired(const Subject& subject, std::int64_t now) {
  const auto* chat = std::get_if<ChatRecord>(&subject);
  return chat && chat->expires > 0 && chat->expires <= now;
}

bool names_folder(std::string_view name) { return name.ends_with('/'); }

void leave_out(Subject& subject, const std::set<std::string>& names) {
  auto* store = std::get_if<VectorStoreSubject>(&subject);
  if (!store) return;
  std::erase_if(store->attachments,
                [&](const AttachmentRecord& each) { return names.contains(subject_of(each.file)); });
}

}  // namespace

// An empty list of tombstones was too long.
Result<void> read_later_parts(const std::vector<std::string>& parts, TenantFacts& facts) {
  if (parts.size() == kTenantParts1) return {};
  const std::string& legacy = parts[kTenantParts1];
  const std::string& tombstones = parts[kTenantParts1 + 1];
  facts.says_users = true;
  if (!legacy.empty()) facts.legacy_issuer = legacy.substr(1);
  if (tombstones.empty()) return {};
  BULKHEAD_TRY(known, Tombstones::from_json(tombstones));
  facts.tombstones = std::move(known);
  facts.all_tombstones = true;
  return {};
}

Result<TenantFacts> read_tenant_facts(const base::Secret& record) {
  auto parts = unpack_parts(record.reveal(), kTenantParts, "the tenant's record in a backup");
  std::string_view format = kTenantFormat;
  if (!parts) {
    parts = unpack_parts(record.reveal(), kTenantParts1, "the tenant's record in a backup");
    format = kTenantFormat1;
  }
  if (!parts || (*parts)[0] != format) {
    return refused("This backup is of a format that this version does not know. Use a newer Bulkhead.",
                   "the tenant's record");
  }
  const auto bad = [] {
    return refused("The backup's record of its tenant is not usable.", "the tenant's record");
  };
  auto id = TenantId::parse((*parts)[1]);
  const auto mode =
      named((*parts)[3],
            {tenancy::IsolationMode::Hybrid, tenancy::IsolationMode::Silo, tenancy::IsolationMode::Pooled},
            &tenancy::mode_name);
  const auto state = named((*parts)[4], {tenancy::TenantState::Active, tenancy::TenantState::Suspended},
                           &tenancy::state_name);
  auto document = json::Document::parse((*parts)[6]);
  if (!id || !mode || !state || !document) return bad();
  BULKHEAD_TRY(policy, tenancy::TenantPolicy::from_json(document->root()));
  TenantFacts facts{.tenant = {.id = std::move(*id)},
                    .api_key_hash = base::Secret::copy_of((*parts)[7]),
                    .audit_hash = base::Secret::copy_of((*parts)[8])};
  base::wipe((*parts)[7]);
  base::wipe((*parts)[8]);
  facts.tenant.display_name = (*parts)[2];
  facts.tenant.mode = *mode;
  facts.tenant.state = *state;
  facts.tenant.policy = std::move(policy);
  const std::string& created = (*parts)[5];
  const auto read = std::from_chars(created.data(), created.data() + created.size(), facts.tenant.created);
  if (read.ec != std::errc() || facts.api_key_hash.size() != 32 || facts.audit_hash.size() != 32)
    return bad();
  if (!read_later_parts(*parts, facts)) return bad();
  return facts;
}

Backups::Backups(BackupOptions options, PlatformDatabase& platform, tenancy::TenantDirectory& tenants,
                 StoreManager& stores, Upkeep& upkeep, const base::Clock& clock)
    : options_(std::move(options)),
      platform_(platform),
      tenants_(tenants),
      stores_(stores),
      upkeep_(upkeep),
      clock_(clock),
      tombstones_(platform) {}

Result<std::filesystem::path> Backups::path_of(std::string_view name) const {
  if (options_.dir.empty()) {
    return refused(
        "This deployment makes no backups. Name a folder and a key file in [backup] of its "
        "configuration.");
  }
  const std::size_t slash = name.find('/');
  const std::string_view folder = name.substr(0, slash);
  const std::string_view file = slash == std::string_view::npos ? "" : name.substr(slash + 1);
  if (!base::is_identifier(folder) || (!file.empty() && !base::is_identifier(file))) {
    return refused(
        "A backup is named by its file's name in the configuration's backup.dir, or in one folder there: "
        "letters, digits, '.', '_' and '-'.");
  }
  return file.empty() ? options_.dir / folder : options_.dir / folder / file;
}

Result<Backups::Target> Backups::target_of(const BackupOrder& order) const {
  BULKHEAD_TRY(path, path_of(order.file));
  Target target{.file = std::move(path)};
  const std::filesystem::path folder = names_folder(order.file) ? target.file : target.file.parent_path();
  if (folder != options_.dir) BULKHEAD_CHECK_OK(base::make_private_directory(folder));
  if (!names_folder(order.file)) {
    if (order.whole && order.since) return refused("A whole backup builds upon none: leave 'since' out.");
    if (!order.since) return target;
    BULKHEAD_TRY(since, path_of(*order.since));
    target.since = std::move(since);
    return target;
  }
  if (order.since) {
    return refused("In a folder a backup builds upon the newest one there: leave 'since' out.");
  }
  if (!order.whole) {
    BULKHEAD_TRY(chain, newest_chain(folder));
    if (!chain.empty()) target.since = std::move(chain.back());
  }
  std::string name = base::rfc3339(clock_.wall());
  std::erase_if(name, [](char c) { return c == '-' || c == ':'; });
  target.file /= name + std::string(kArchiveExtension);
  return target;
}

Result<std::vector<std::filesystem::path>> Backups::files_of(const RestoreOrder& order) const {
  std::vector<std::filesystem::path> files;
  for (const std::string& name : order.files) {
    BULKHEAD_TRY(path, path_of(name));
    if (names_folder(name)) {
      if (order.files.size() > 1) return refused("Name one folder, or the backups themselves.");
      return newest_chain(path);
    }
    files.push_back(std::move(path));
  }
  return files;
}

Result<base::Secret> Backups::key() const { return read_backup_key(options_.key_file); }

Result<BackupReport> Backups::make(const TenantId& tenant, const BackupOrder& order,
                                   const std::function<bool()>& stopping) {
  std::unique_lock one(one_, std::try_to_lock);
  if (!one) return in_use();
  const auto record = tenants_.find(tenant);
  if (!record) return Error(StorageError::NotFound, "No such tenant.");
  if (record->state == tenancy::TenantState::Restoring) return in_use();
  BULKHEAD_TRY(target, target_of(order));
  BULKHEAD_TRY(backup_key, key());
  BackupReport report{.file = target.file.lexically_relative(options_.dir).string()};
  std::unordered_map<std::string, crypto::Digest> held;  // by the base, and by what was written since
  if (target.since) {
    BULKHEAD_TRY(base_archive, ArchiveReader::open(*target.since, backup_key));
    BULKHEAD_CHECK_OK(base_archive->verify());
    if (base_archive->manifest().tenant != tenant.str()) {
      return refused("The backup " + target.since->filename().string() + " is of another tenant.",
                     base_archive->header().id);
    }
    report.base = base_archive->header().id;
    for (const SubjectEntry& entry : base_archive->manifest().entries) held.emplace(entry.name, entry.digest);
  }
  BULKHEAD_TRY(copier, Copier::begin(upkeep_, stores_, tenant));
  BULKHEAD_TRY(writer, ArchiveWriter::create(target.file, backup_key, report.base, clock_.wall()));
  // Before anything is read: what is taken back from here on has a stamp that this archive lacks.
  BULKHEAD_TRY(known, tombstones_.known(tenant));
  std::string tombstones = Tombstones::to_json(known);
  if (tombstones.size() > kTombstonesBytesMax) tombstones.clear();
  base::Bytes facts = tenant_facts(copier.scope(), *record, legacy_part(legacy_users_, tenant), tombstones);
  auto told = writer->tenant(facts);
  base::wipe(facts);
  if (!told) return told.take_error();
  Manifest manifest{.tenant = tenant.str(), .taken = {}, .entries = {}};
  const auto take = [&](const std::string& name,
                        const std::optional<Subject>& subject) -> Result<crypto::Digest> {
    if (!subject) return crypto::Digest{};
    const crypto::Digest digest = digest_of(*subject);
    const auto known = held.find(name);
    if (known != held.end() && known->second == digest) return digest;
    BULKHEAD_CHECK_OK(writer->subject(name, *subject));
    held.insert_or_assign(name, digest);
    ++report.written;
    return digest;
  };
  BULKHEAD_CHECK_OK(copier.run(take, stopping, [&](std::vector<SubjectEntry> all) -> Result<void> {
    manifest.entries = std::move(all);
    manifest.taken = base::rfc3339(clock_.wall());
    return {};
  }));
  BULKHEAD_TRY(bytes, writer->finish(manifest));
  report.archive = writer->id();
  report.taken = manifest.taken;
  report.subjects = manifest.entries.size();
  report.bytes = bytes;
  report.manifest = manifest.digest();
  report.frozen_for = copier.frozen_for();
  return report;
}

// Where the tenant is there itself, its own log of tombstones is whole; a name alone proves nothing.
std::string Backups::known_until(const TenantFacts& facts) {
  if (auto scope = upkeep_.scope(facts.tenant.id);
      scope && scope->key(crypto::Purpose::ApiKeyHash) == facts.api_key_hash) {
    return base::rfc3339(clock_.wall());
  }
  return {};
}

// What an older version, or a way around the gateway, took back without a tombstone.
Result<void> Backups::note_present_revocations(const Upkeep::Opened& opened) {
  BULKHEAD_TRY(keys, opened.store->list_api_keys(opened.scope));
  for (const identity::ApiKeyRecord& key : keys) {
    if (key.revoked) BULKHEAD_CHECK_OK(tombstones_.note_revoked(opened.scope.tenant(), key.id));
  }
  return {};
}

// The list that is there now holds; where there is none, a narrowed file is its owner's alone.
Result<void> Backups::withhold_access(const Upkeep::Opened& opened, const Tombstones::Known& known,
                                      const TenantFacts& facts, FileRecord& file, RestoreReport& report) {
  access::DocumentAccess allowed = file.access;
  auto there = opened.store->get_file(opened.scope, file.id);
  if (!there && !there.error().is(StorageError::NotFound)) return there.take_error();
  if (there) {
    if (!access::includes(there->access, file.access)) allowed = std::move(there->access);
  } else if (known.narrowed_since(facts.tombstones, subject_of(file.id))) {
    allowed = {};
  }
  if (access::includes(allowed, file.access)) return {};
  // Also for a second try, which won't find what this one replaces.
  BULKHEAD_CHECK_OK(tombstones_.note_narrowed(opened.scope.tenant(), file.id));
  file.access = std::move(allowed);
  ++report.access_narrowed_since;
  return {};
}

Result<void> Backups::withhold(const Upkeep::Opened& opened, const Tombstones::Known& known,
                               const TenantFacts& facts, Subject& subject, RestoreReport& report) {
  if (auto* key = std::get_if<identity::ApiKeyRecord>(&subject)) {
    if (!key->revoked && known.revokes(subject_name(subject))) {
      key->revoked = true;
      ++report.keys_revoked_since;
    }
  } else if (auto* file = std::get_if<FileSubject>(&subject)) {
    return withhold_access(opened, known, facts, file->record, report);
  }
  return {};
}

// A tenant that is new here begins with what its archive, and its source's log, know.
Result<void> Backups::take_over(const TenantFacts& facts, const RestoreReport& report) {
  BULKHEAD_CHECK_OK(tombstones_.adopt(report.tenant.id, facts.tombstones));
  if (report.source == report.tenant.id.str()) return {};
  BULKHEAD_TRY(known, tombstones_.known(facts.tenant.id));
  return tombstones_.adopt(report.tenant.id, known);
}

// Every subject is read back after it was written.
Result<void> Backups::fill(const RestoreOrder& order, ArchiveChain& chain, const TenantFacts& facts,
                           RestoreReport& report) {
  const bool renamed = report.source != report.tenant.id.str();
  std::vector<base::ApiKeyId> adopted;
  BULKHEAD_TRY(opened, upkeep_.open(report.tenant.id));
  if (order.replace) BULKHEAD_CHECK_OK(note_present_revocations(opened));
  BULKHEAD_CHECK_OK(take_over(facts, report));
  BULKHEAD_TRY(known, tombstones_.known(report.tenant.id));
  if (order.replace) BULKHEAD_CHECK_OK(remove_others(opened, chain.newest().manifest(), known.erased));
  for (const SubjectEntry& entry : chain.newest().manifest().entries) {
    const bool api_key = subject_kind(entry.name) == SubjectKind::ApiKey;
    if (known.erased.contains(entry.name)) {
      ++report.erased_since;
      continue;
    }
    if (api_key && renamed) {
      ++report.api_keys_left_out;
      continue;
    }
    BULKHEAD_TRY(subject, chain.read(entry));
    if (has_expired(subject, clock_.unix_seconds())) continue;
    leave_out(subject, known.erased);
    BULKHEAD_CHECK_OK(withhold(opened, known, facts, subject, report));
    BULKHEAD_CHECK_OK(write_subject(*opened.store, opened.scope, subject));
    BULKHEAD_TRY(back, read_subject(*opened.store, opened.scope, entry.name));
    const bool expired_meanwhile = !back && has_expired(subject, clock_.unix_seconds());
    if (!expired_meanwhile && (!back || digest_of(*back) != digest_of(subject))) {
      return Error(StorageError::Corrupt,
                   "What was restored could not be read back as it was. Nothing is kept.",
                   entry.name + " differs in the store");
    }
    if (api_key) adopted.push_back(*base::ApiKeyId::parse(subject_id(entry.name)));
    ++report.subjects;
  }
  if (adopted.empty()) return {};
  BULKHEAD_CHECK_OK(
      platform_.set_setting(std::string(kAdoptedSetting) + report.tenant.id.str(), ids_json(adopted)));
  if (adopted_) adopted_(report.tenant.id, std::move(adopted));
  return {};
}

Result<void> Backups::remove_others(const Upkeep::Opened& opened, const Manifest& manifest,
                                    const std::set<std::string>& erased) {
  std::set<std::string_view> wanted;
  for (const SubjectEntry& entry : manifest.entries) {
    if (!erased.contains(entry.name)) wanted.insert(entry.name);
  }
  BULKHEAD_TRY(names, list_subjects(*opened.store, opened.scope));
  for (const std::string& name : names) {
    if (!wanted.contains(name)) BULKHEAD_CHECK_OK(remove_subject(*opened.store, opened.scope, name));
  }
  return {};
}

// What stands in the settings tells a replacement that was cut short from a new tenant that was: that one is
// taken back, this one waits for the restore to be repeated.
Result<void> Backups::replace(const RestoreOrder& order, ArchiveChain& chain, const TenantFacts& facts,
                              RestoreReport& report) {
  const std::string setting = std::string(kReplacingSetting) + report.source;
  const auto there = tenants_.find(facts.tenant.id);
  if (!there || there->state == tenancy::TenantState::Destroyed) {
    return refused("There is no tenant " + report.source + " here to replace. Restore it as a new one.");
  }
  BULKHEAD_TRY(cut_short, platform_.setting(setting));
  const bool repeated = cut_short && there->state == tenancy::TenantState::Restoring;
  if (there->state != tenancy::TenantState::Suspended && !repeated) {
    return refused("Suspend the tenant first: while its data is replaced nobody may use it.");
  }
  report.tenant = *there;
  BULKHEAD_TRY(hold, upkeep_.hold(there->id));
  {
    BULKHEAD_TRY(scope, upkeep_.scope(there->id));
    if (!(scope.key(crypto::Purpose::ApiKeyHash) == facts.api_key_hash)) {
      return refused(
          "This tenant is not the one that the backup was made of, though it has its name: its API "
          "keys would not work. Restore the backup --as another name.");
    }
  }
  BULKHEAD_CHECK_OK(platform_.set_setting(setting, "1"));
  BULKHEAD_TRY(begun, tenants_.begin_replace(there->id));
  static_cast<void>(begun);
  BULKHEAD_CHECK_OK(fill(order, chain, facts, report));
  BULKHEAD_TRY(finished, tenants_.finish_restore(there->id, tenancy::TenantState::Suspended));
  report.tenant = std::move(finished);
  return platform_.forget_setting(setting);
}

Result<void> Backups::adopt_users(const TenantId& tenant, const TenantFacts& facts) {
  if (!facts.says_users) return legacy_users_->adopt(tenant);
  return facts.legacy_issuer ? legacy_users_->adopt(tenant, *facts.legacy_issuer) : Result<void>();
}

Result<RestoreReport> Backups::restore(const RestoreOrder& order) {
  std::unique_lock one(one_, std::try_to_lock);
  if (!one) return in_use();
  BULKHEAD_TRY(files, files_of(order));
  base::Secret backup_key;
  if (order.key) {
    backup_key = order.key->clone();
  } else {
    BULKHEAD_TRY(configured, key());
    backup_key = std::move(configured);
  }
  BULKHEAD_TRY(chain, ArchiveChain::open(files, backup_key));
  BULKHEAD_TRY(facts, read_tenant_facts(chain.newest().tenant()));
  const Manifest& manifest = chain.newest().manifest();
  if (manifest.tenant != facts.tenant.id.str())
    return refused("The backup names two tenants.", manifest.tenant);
  RestoreReport report{.tenant = facts.tenant,
                       .archive = chain.newest().header().id,
                       .taken = manifest.taken,
                       .source = manifest.tenant,
                       .known_until = known_until(facts)};
  if (report.known_until.empty() && facts.all_tombstones) report.known_until = report.taken;
  if (order.replace) {
    BULKHEAD_CHECK_OK(replace(order, chain, facts, report));
    return report;
  }
  if (order.as) report.tenant.id = *order.as;
  BULKHEAD_TRY(fitted, order.fit(report.tenant));
  report.tenant = std::move(fitted);
  std::map<crypto::Purpose, base::Secret> keys;
  keys.emplace(crypto::Purpose::ApiKeyHash, facts.api_key_hash.clone());
  keys.emplace(crypto::Purpose::AuditHash, facts.audit_hash.clone());
  BULKHEAD_TRY(begun, tenants_.begin_restore(report.tenant, keys));
  auto filled = fill(order, chain, facts, report);
  if (filled && legacy_users_) filled = adopt_users(begun.id, facts);
  if (filled) {
    auto finished = tenants_.finish_restore(begun.id, facts.tenant.state);
    if (finished) {
      report.tenant = std::move(*finished);
      return report;
    }
    filled = finished.take_error();
  }
  forget(begun.id);
  if (auto undone = tenants_.abandon_restore(begun.id, stores_); !undone) {
    base::log::warning("restore_not_taken_back", {{"tenant", std::string_view(begun.id.str())},
                                                  {"detail", std::string_view(undone.error().detail())}});
  }
  return filled.take_error();
}

Result<void> Backups::clean_up() {
  if (!options_.dir.empty()) {
    remove_unfinished_archives(options_.dir);
    std::error_code failed;
    for (std::filesystem::directory_iterator each(options_.dir, failed), end; !failed && each != end;
         each.increment(failed)) {
      std::error_code ignored;
      if (each->is_directory(ignored) && !each->is_symlink(ignored)) remove_unfinished_archives(each->path());
    }
  }
  for (const tenancy::Tenant& tenant : tenants_.list()) {
    if (tenant.state != tenancy::TenantState::Restoring) continue;
    BULKHEAD_TRY(replacing, platform_.setting(std::string(kReplacingSetting) + tenant.id.str()));
    if (replacing) {
      base::log::warning("restore_to_be_repeated", {{"tenant", std::string_view(tenant.id.str())}});
      continue;
    }
    forget(tenant.id);
    BULKHEAD_CHECK_OK(tenants_.abandon_restore(tenant.id, stores_));
    base::log::warning("restore_taken_back", {{"tenant", std::string_view(tenant.id.str())}});
  }
  return {};
}

Result<void> Backups::on_adopted(AdoptedKeys listener) {
  adopted_ = std::move(listener);
  for (const tenancy::Tenant& tenant : tenants_.list()) {
    BULKHEAD_TRY(kept, platform_.setting(std::string(kAdoptedSetting) + tenant.id.str()));
    if (!kept) continue;
    auto document = json::Document::parse(*kept);
    if (!document) return damaged("the list of a restored tenant's API keys");
    std::vector<base::ApiKeyId> ids;
    for (std::size_t i = 0; i < document->root().size(); ++i) {
      auto id = base::ApiKeyId::parse(document->root().at(i).as_string().value_or(""));
      if (id) ids.push_back(std::move(*id));
    }
    adopted_(tenant.id, std::move(ids));
  }
  return {};
}

void Backups::forget(const TenantId& tenant) {
  if (adopted_) adopted_(tenant, {});
  for (const std::string_view kind : {kAdoptedSetting, kReplacingSetting}) {
    auto gone = platform_.forget_setting(std::string(kind) + tenant.str());
    if (gone) continue;
    base::log::warning("setting_not_forgotten", {{"tenant", std::string_view(tenant.str())},
                                                 {"detail", std::string_view(gone.error().detail())}});
  }
}

}  // namespace bulkhead::storage
