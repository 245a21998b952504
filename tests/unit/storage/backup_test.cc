// Backups: whole and authentic or refused as a whole, consistent while others write, restored elsewhere.
#include "storage/backup.h"

#include <atomic>
#include <fstream>
#include <thread>

#include "copies.h"
#include "raw_database.h"
#include "storage/eraser.h"

namespace bulkhead::storage {
namespace {

bool never() { return false; }

void write_key(const std::filesystem::path& file, const std::string& hex) {
  std::ofstream(file) << hex << "\n";
  std::filesystem::permissions(file,
                               std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

// One deployment's side of it.
struct Side {
  Side(TestPlatform& where, const std::filesystem::path& dir, const std::filesystem::path& key_file)
      : platform(where),
        upkeep(*where.manager, *where.directory),
        backups({dir, key_file}, *where.platform, *where.directory, *where.manager, upkeep, where.clock) {}

  base::Result<BackupReport> make(const std::string& file, std::optional<std::string> since = std::nullopt) {
    return backups.make(tenant_id("a"), {.file = file, .since = std::move(since)}, never);
  }
  // Into the embedded store, whatever it was in.
  base::Result<RestoreReport> restore(std::vector<std::string> files, const char* as = nullptr) {
    RestoreOrder order;
    order.files = std::move(files);
    if (as) order.as = tenant_id(as);
    order.fit = [](tenancy::Tenant tenant) -> base::Result<tenancy::Tenant> {
      tenant.mode = tenancy::IsolationMode::Hybrid;
      tenant.policy.store.clear();
      return tenant;
    };
    return backups.restore(order);
  }

  TestPlatform& platform;
  Upkeep upkeep;
  Backups backups;
};

template <typename Place>
class BackupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(dir());
    write_key(key_file(), std::string(64, 'a'));
    fill_with_everything(*place.platform.store("a"), place.platform.scope("a"));
    here.emplace(place.platform, dir(), key_file());
    there.emplace(other, dir(), key_file());
  }
  std::filesystem::path dir() const { return folder.path() / "backups"; }
  std::filesystem::path key_file() const { return folder.path() / "key"; }
  // An archive with these bytes: refused, and nothing has come of it.
  void expect_refused(const std::string& bytes, const std::string& what) {
    std::ofstream(dir() / "altered", std::ios::binary) << bytes;
    EXPECT_FAILS(StorageError::BackupRefused, there->restore({"altered"})) << what;
    EXPECT_TRUE(other.directory->list().empty()) << what;
    EXPECT_FALSE(std::filesystem::exists(other.data_dir() / "tenants" / "a")) << what;
  }

  TemporaryFolder folder;
  Place place;
  TestPlatform other{folder.path() / "other"};
  std::optional<Side> here, there;
};
TYPED_TEST_SUITE(BackupTest, AllPlaces);

TYPED_TEST(BackupTest, ComesBackWholeInAnotherDeployment) {
  const auto made = this->here->make("one");
  ASSERT_OK(made);
  EXPECT_EQ(made->subjects, 11u);
  EXPECT_EQ(made->written, 11u);
  const auto restored = this->there->restore({"one"});
  ASSERT_OK(restored);
  EXPECT_EQ(restored->subjects, 11u);
  EXPECT_EQ(contents_of(this->other, "a"), contents_of(this->place.platform, "a"));
  const auto old_scope = this->place.platform.scope("a");
  const auto new_scope = this->other.scope("a");
  using crypto::Purpose;
  EXPECT_EQ(old_scope.key(Purpose::ApiKeyHash), new_scope.key(Purpose::ApiKeyHash))
      << "API keys go on working";
  EXPECT_EQ(old_scope.key(Purpose::AuditHash), new_scope.key(Purpose::AuditHash));
  for (const Purpose fresh :
       {Purpose::Database, Purpose::RecordSeal, Purpose::BlindIndex, Purpose::SessionId}) {
    EXPECT_FALSE(old_scope.key(fresh) == new_scope.key(fresh)) << crypto::purpose_name(fresh);
  }
  EXPECT_FAILS(tenancy::TenancyError::TenantExists, this->there->restore({"one"}));
  EXPECT_FAILS(StorageError::AlreadyExists, this->here->make("one")) << "never written over";
}

TYPED_TEST(BackupTest, NothingTypedStandsInTheFile) {
  ASSERT_OK(this->here->make("one"));
  EXPECT_EQ(files_holding(this->dir(), planted_words()), std::vector<std::string>());
  // Control: they are in it.
  auto chain = must(ArchiveChain::open({this->dir() / "one"}, must(read_backup_key(this->key_file()))));
  std::string all;
  for (const SubjectEntry& entry : chain.newest().manifest().entries) {
    encode_subject(must(chain.read(entry)), [&](base::ByteView piece) { all.append(base::as_text(piece)); });
  }
  for (const std::string& word : planted_words()) EXPECT_NE(all.find(word), std::string::npos) << word;
}

TYPED_TEST(BackupTest, IncrementsHoldWhatChangedAndGiveEachPointInTime) {
  // Handles are for one piece of work: one that is kept holds a backup up.
  const auto store = [&] { return this->place.platform.store("a"); };
  const auto scope = this->place.platform.scope("a");
  const auto full = must(this->here->make("full"));
  const auto at_full = contents_of(this->place.platform, "a");
  ASSERT_OK(store()->put_file(scope, sample_file("new", 1'900'000'000), "new"));
  ASSERT_OK(store()->delete_file(scope, file_id("f0")));
  const auto first = this->here->make("first", "full");
  ASSERT_OK(first);
  EXPECT_EQ(first->base, full.archive);
  EXPECT_EQ(first->written, 2u) << "the new file, and the vector store that lost one";
  EXPECT_LT(first->bytes, full.bytes / 4);
  const auto at_first = contents_of(this->place.platform, "a");
  ASSERT_OK(store()->delete_chat(scope, chat_id("c1")));
  ASSERT_OK(this->here->make("second", "first"));
  const auto at_second = contents_of(this->place.platform, "a");

  ASSERT_OK(this->there->restore({"second", "full", "first"}));
  EXPECT_EQ(contents_of(this->other, "a"), at_second);
  TestPlatform third(this->folder.path() / "third"), fourth(this->folder.path() / "fourth");
  Side a(third, this->dir(), this->key_file()), b(fourth, this->dir(), this->key_file());
  ASSERT_OK(a.restore({"full", "first"}));
  EXPECT_EQ(contents_of(third, "a"), at_first);
  ASSERT_OK(b.restore({"full"}));
  EXPECT_EQ(contents_of(fourth, "a"), at_full);
}

TYPED_TEST(BackupTest, AMissingOrForeignIncrementIsRefused) {
  ASSERT_OK(this->here->make("full"));
  ASSERT_OK(this->here->make("first", "full"));
  ASSERT_OK(this->here->make("second", "first"));
  ASSERT_OK(this->here->make("fork", "full"));
  ASSERT_OK(this->here->make("other-full"));
  for (const std::vector<std::string>& files : {std::vector<std::string>{"first"},
                                                {"second", "full"},
                                                {"full", "first", "fork"},
                                                {"full", "other-full"},
                                                {"other-full", "first"},
                                                {"full", "full"},
                                                {}}) {
    EXPECT_FAILS(StorageError::BackupRefused, this->there->restore(files));
    EXPECT_TRUE(this->other.directory->list().empty());
  }
  EXPECT_FAILS(StorageError::NotFound, this->there->restore({"full", "none"}));
  for (const char* name : {"../full", "/full", ".full", "a/b/c", ""}) {
    EXPECT_FAILS(StorageError::BackupRefused, this->there->restore({name}));
    EXPECT_FAILS(StorageError::BackupRefused, this->here->make(name));
  }
  EXPECT_OK(this->there->restore({"second", "first", "full"})) << "control";
}

// Files and chats are written in turn: whatever instant the backup has, it holds the first so many of both.
TYPED_TEST(BackupTest, IsOfOneInstantWhileOthersWrite) {
  std::atomic<bool> done{false};
  std::atomic<int> acknowledged{0};
  TestPlatform& platform = this->place.platform;
  std::thread writer([&] {
    for (int n = 0; !done; ++n) {
      const auto scope = platform.scope("a");
      ASSERT_OK(
          platform.store("a")->put_file(scope, sample_file("w" + std::to_string(n), 1'900'000'000 + n), "w"));
      ASSERT_OK(platform.store("a")->put_chat(
          scope, {.id = chat_id("w" + std::to_string(n)), .owner = "x", .created = 1'900'000'000 + n}));
      ++acknowledged;
    }
  });
  while (acknowledged < 3) std::this_thread::yield();
  const int before = acknowledged;
  const auto made = this->here->make("one");
  const int after = acknowledged;
  done = true;
  writer.join();
  ASSERT_OK(made);
  ASSERT_OK(this->there->restore({"one"}));
  const auto scope = this->other.scope("a");
  int files = 0, chats = 0;
  for (const std::string& name : must(list_subjects(*this->other.store("a"), scope))) {
    files += name.starts_with("file/w");
    chats += name.starts_with("chat/w");
  }
  EXPECT_GE(chats, before) << "what was acknowledged before is there";
  EXPECT_LE(chats, after + 1);
  EXPECT_TRUE(files == chats || files == chats + 1) << files << " files, " << chats << " chats";
  for (int n = 0; n < chats; ++n) {
    EXPECT_OK(this->other.store("a")->get_chat(scope, chat_id("w" + std::to_string(n))));
    EXPECT_OK(this->other.store("a")->get_file(scope, file_id("w" + std::to_string(n))));
  }
}

// What was crypto-shredded with a certificate does not come back by a backup of before.
TYPED_TEST(BackupTest, WhatWasErasedSinceStaysAway) {
  auto& here = *this->here;
  ASSERT_OK(here.make("one"));
  this->place.platform.clock.advance(std::chrono::seconds(60));
  const auto signer = crypto::SigningKey::generate();
  Eraser eraser(*here.platform.platform, *here.platform.directory, here.upkeep, signer, here.platform.clock);
  ASSERT_OK(eraser.erase(tenant_id("a"), {.name = "f2", .requested_by = "operator"}));
  const auto restored = here.restore({"one"}, "b");
  ASSERT_OK(restored);
  EXPECT_EQ(restored->erased_since, 1u);
  EXPECT_EQ(restored->api_keys_left_out, 2u) << "their texts name the old tenant";
  EXPECT_FALSE(here.platform.store("b")->get_file(here.platform.scope("b"), file_id("f2")).ok());
  EXPECT_EQ(
      must(here.platform.store("b")->list_attachments(here.platform.scope("b"), store_id("v1"), {})).size(),
      3u);
  EXPECT_OK(here.platform.store("b")->get_file(here.platform.scope("b"), file_id("f0"))) << "control";
  EXPECT_FALSE(restored->known_until.empty());
}

// An older archive in a deployment that was given a newer one before.
TYPED_TEST(BackupTest, AnotherDeploymentKnowsWhatTheNewestArchiveKnew) {
  auto& here = *this->here;
  auto& there = *this->there;
  Tombstones tombstones(*here.platform.platform);
  ASSERT_OK(here.make("old"));
  {
    const auto scope = here.platform.scope("a");
    const auto store = here.platform.store("a");
    ASSERT_OK(tombstones.revoke_api_key(*store, scope, key_id("k0")));
    ASSERT_OK(tombstones.set_file_access(*store, scope, file_id("f2"), {.users = {"bob"}}));
  }
  const auto signer = crypto::SigningKey::generate();
  Eraser eraser(*here.platform.platform, *here.platform.directory, here.upkeep, signer, here.platform.clock);
  ASSERT_OK(eraser.erase(tenant_id("a"),
                         {.kind = ErasureOrder::Kind::Chat, .name = "c1", .requested_by = "tenant"}));
  ASSERT_OK(here.make("new"));
  const auto unknowing = there.restore({"old"}, "b");
  ASSERT_OK(unknowing);
  EXPECT_EQ(unknowing->known_until, unknowing->taken) << "what came after it is not known here";
  EXPECT_EQ(unknowing->erased_since + unknowing->access_narrowed_since, 0u) << "control: so it comes back";
  EXPECT_OK(this->other.store("b")->get_chat(this->other.scope("b"), chat_id("c1"))) << "control";
  ASSERT_OK(there.restore({"new"}));
  (void)must(this->other.directory->suspend(tenant_id("a"), "test"));
  RestoreOrder order;
  order.files = {"old"};
  order.replace = true;
  const auto restored = there.backups.restore(order);
  ASSERT_OK(restored);
  (void)must(this->other.directory->resume(tenant_id("a")));
  EXPECT_EQ(restored->erased_since, 1u);
  EXPECT_EQ(restored->keys_revoked_since, 1u);
  EXPECT_EQ(restored->access_narrowed_since, 1u);
  const auto scope = this->other.scope("a");
  const auto store = this->other.store("a");
  EXPECT_FAILS(StorageError::NotFound, store->get_chat(scope, chat_id("c1")));
  for (const auto& key : must(store->list_api_keys(scope))) EXPECT_TRUE(key.revoked) << key.id.str();
  EXPECT_EQ(must(store->get_file(scope, file_id("f2"))).access.users, std::vector<std::string>{"bob"});
  EXPECT_FALSE(must(store->get_file(scope, file_id("f2"))).access.shared_with_tenant);
}

// The tenant's file is gone by the time of the restore: there is no present list to go by.
TYPED_TEST(BackupTest, ANarrowedFileThatIsGoneComesBackAsItsOwnersAlone) {
  auto& here = *this->here;
  Tombstones tombstones(*here.platform.platform);
  ASSERT_OK(here.make("one"));
  const auto scope = here.platform.scope("a");
  {
    const auto store = here.platform.store("a");
    ASSERT_OK(tombstones.set_file_access(*store, scope, file_id("f2"), {}));
    ASSERT_OK(store->delete_file(scope, file_id("f2")));
    ASSERT_OK(store->delete_file(scope, file_id("f0")));
  }
  (void)must(here.platform.directory->suspend(tenant_id("a"), "test"));
  RestoreOrder order;
  order.files = {"one"};
  order.replace = true;
  const auto restored = here.backups.restore(order);
  ASSERT_OK(restored);
  (void)must(here.platform.directory->resume(tenant_id("a")));
  const auto again = here.platform.scope("a");
  const auto file = must(here.platform.store("a")->get_file(again, file_id("f2")));
  EXPECT_FALSE(file.access.shared_with_tenant);
  EXPECT_TRUE(file.access.groups.empty());
  EXPECT_EQ(restored->access_narrowed_since, 1u);
  const auto untouched = must(here.platform.store("a")->get_file(again, file_id("f0")));
  EXPECT_EQ(untouched.access.groups, std::vector<std::string>{"zqgroup"}) << "control: never narrowed";
  // A backup of now carries the stamp: its own list is not narrowed since.
  ASSERT_OK(here.make("two"));
  const auto copy = here.restore({"two"}, "b");
  ASSERT_OK(copy);
  EXPECT_EQ(copy->access_narrowed_since, 0u);
}

// In place: a suspended tenant goes back to what it was; one that works does not.
TYPED_TEST(BackupTest, ASuspendedTenantIsTakenBackInPlace) {
  auto& here = *this->here;
  TestPlatform& platform = this->place.platform;
  const auto sorted = [&] {
    auto all = contents_of(platform, "a");
    std::sort(all.begin(), all.end());
    return all;
  };
  ASSERT_OK(here.make("one"));
  const auto before = sorted();
  {
    const auto scope = platform.scope("a");
    const auto store = platform.store("a");
    ASSERT_OK(store->delete_file(scope, file_id("f0")));
    ASSERT_OK(store->set_file_access(scope, file_id("f2"), {.users = {"mallory"}}));
    ASSERT_OK(store->put_file(scope, sample_file("later", 1'900'000'000), "later"));
    ASSERT_OK(store->delete_chat(scope, chat_id("c1")));
    ASSERT_OK(store->revoke_api_key(scope, key_id("k0")));
  }
  ASSERT_NE(sorted(), before);
  RestoreOrder order;
  order.files = {"one"};
  order.replace = true;
  EXPECT_FAILS(StorageError::BackupRefused, here.backups.restore(order)) << "it is in use";
  EXPECT_FAILS(StorageError::BackupRefused, this->there->backups.restore(order)) << "it is not there";
  (void)must(platform.directory->suspend(tenant_id("a"), "test"));
  // As if a first try had been cut short.
  ASSERT_OK(platform.platform->set_setting("restore-replaces/a", "1"));
  (void)must(platform.directory->begin_replace(tenant_id("a")));
  ASSERT_OK(here.backups.clean_up());
  EXPECT_EQ(platform.directory->find(tenant_id("a"))->state, tenancy::TenantState::Restoring) << "it is kept";
  EXPECT_FALSE(platform.directory->open(test::principal("a", "alice")).ok());
  platform.manager->close(tenant_id("a"));
  ASSERT_OK(here.backups.restore(order));
  EXPECT_EQ(platform.directory->find(tenant_id("a"))->state, tenancy::TenantState::Suspended);
  (void)must(platform.directory->resume(tenant_id("a")));
  // What was taken back since stays so: the key is revoked, and the list that is there now lets in fewer.
  const auto scope = platform.scope("a");
  const auto store = platform.store("a");
  for (const auto& key : must(store->list_api_keys(scope))) EXPECT_TRUE(key.revoked) << key.id.str();
  const auto narrowed = must(store->get_file(scope, file_id("f2"))).access;
  EXPECT_FALSE(narrowed.shared_with_tenant);
  EXPECT_EQ(narrowed.users, std::vector<std::string>{"mallory"});
  // All else is as it was.
  const auto but = [](std::vector<std::string> all) {
    std::erase_if(all, [](const std::string& each) {
      return each.starts_with("api_key/k0 ") || each.starts_with("file/f2 ");
    });
    return all;
  };
  EXPECT_EQ(but(sorted()), but(before));
  EXPECT_FALSE(must(platform.platform->setting("restore-replaces/a")).has_value());
}

class ArchiveTest : public BackupTest<EmbeddedPlace> {};

TEST_F(ArchiveTest, AnyAlteredByteAnywhereRefusesTheWhole) {
  ASSERT_OK(here->make("one"));
  const std::string good = bytes_of(dir() / "one");
  ASSERT_GT(good.size(), 2 * kFrameBytes);
  for (std::size_t at = 0; at < good.size(); at += at < 600 ? 1 : good.size() / 200) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    expect_refused(bad, "byte " + std::to_string(at));
  }
  EXPECT_OK(there->restore({"one"})) << "control";
}

TEST_F(ArchiveTest, CutLengthenedAndReorderedOnesAreRefused) {
  ASSERT_OK(here->make("one"));
  const std::string good = bytes_of(dir() / "one");
  constexpr std::size_t kBox = kFrameBytes + 41;
  const std::size_t header =
      12 + static_cast<unsigned char>(good[10]) * 256 + static_cast<unsigned char>(good[11]);
  ASSERT_GT(good.size(), header + 2 * kBox);
  for (std::size_t size = 0; size < good.size(); size += size < 600 ? 7 : good.size() / 150) {
    expect_refused(good.substr(0, size), "cut to " + std::to_string(size));
  }
  for (std::size_t frames = 0; frames < 3; ++frames) {
    expect_refused(good.substr(0, header + frames * kBox), "cut behind a frame");
  }
  expect_refused(good + "x", "one byte more");
  expect_refused(good + good.substr(header), "all of it twice");
  const std::string first = good.substr(header, kBox), second = good.substr(header + kBox, kBox);
  const std::string rest = good.substr(header + 2 * kBox), head = good.substr(0, header);
  expect_refused(head + second + first + rest, "frames exchanged");
  expect_refused(head + second + rest, "a frame left out");
  expect_refused(head + first + first + second + rest, "a frame repeated");
  ASSERT_OK(here->make("two"));
  const std::string other_one = bytes_of(dir() / "two");
  expect_refused(head + other_one.substr(header, kBox) + second + rest, "a frame of another archive");
  expect_refused(other_one.substr(0, header) + first + second + rest, "another archive's header");
  EXPECT_OK(there->restore({"one"})) << "control";
}

TEST_F(ArchiveTest, AnotherKeyIsToldAndABadKeyFileToo) {
  ASSERT_OK(here->make("one"));
  write_key(key_file(), std::string(64, 'b'));
  const auto other_key = there->restore({"one"});
  EXPECT_FAILS(StorageError::BackupRefused, other_key);
  EXPECT_NE(other_key.error().message().find("another backup key"), std::string::npos);
  for (const std::string& text :
       {std::string(63, 'a'), std::string(64, 'z'), std::string(), std::string(66, 'a')}) {
    write_key(key_file(), text);
    EXPECT_FAILS(StorageError::BackupRefused, there->restore({"one"})) << text;
    EXPECT_FAILS(StorageError::BackupRefused, here->make("two")) << text;
  }
  write_key(key_file(), std::string(64, 'a'));
  std::filesystem::permissions(key_file(), std::filesystem::perms::others_read,
                               std::filesystem::perm_options::add);
  EXPECT_FAILS(StorageError::BackupRefused, there->restore({"one"})) << "others may read it";
  write_key(key_file(), std::string(64, 'a'));
  EXPECT_OK(there->restore({"one"})) << "control";
}

// As after a crash: a tenant that is half there answers nobody, and is gone after the next start.
TEST_F(ArchiveTest, AHalfRestoredTenantAnswersNobodyAndIsTakenBack) {
  ASSERT_OK(here->make("one"));
  tenancy::Tenant half{.id = tenant_id("a")};
  (void)must(other.directory->begin_restore(half, {}));
  {
    const auto opened = must(there->upkeep.open(tenant_id("a")));
    ASSERT_OK(opened.store->put_file(opened.scope, sample_file("f1"), "half"));
  }
  EXPECT_FALSE(other.directory->open(test::principal("a", "alice")).ok());
  EXPECT_EQ(other.directory->state_of("a"), identity::TenantStatus::State::Unknown);
  EXPECT_FALSE(other.directory->resume(tenant_id("a")).ok());
  EXPECT_FALSE(other.directory->suspend(tenant_id("a"), "").ok());
  EXPECT_FAILS(tenancy::TenancyError::TenantExists, there->restore({"one"}));
  std::ofstream(dir() / ".half.partial") << "half";
  tenancy::TenantDirectory again(other.keys, *other.platform, other.clock);
  ASSERT_OK(again.load());
  StoreManager stores(other.data_dir(), again, other.clock);
  Upkeep upkeep(stores, again);
  Backups backups({dir(), key_file()}, *other.platform, again, stores, upkeep, other.clock);
  ASSERT_OK(backups.clean_up());
  EXPECT_TRUE(again.list().empty());
  EXPECT_FALSE(std::filesystem::exists(other.data_dir() / "tenants" / "a"));
  EXPECT_FALSE(std::filesystem::exists(dir() / ".half.partial"));
  EXPECT_TRUE(std::filesystem::exists(dir() / "one"));
}

// Each subject takes as long to copy as three are written in, or, when no writer comes, as many turns as
// would do: without a brake the copy would never catch up.
TEST_F(ArchiveTest, ATenantThatWritesFasterThanItIsCopiedIsSlowedDown) {
  std::atomic<bool> done{false};
  std::atomic<int> written{0};
  std::vector<std::thread> writers;
  for (const char* who : {"x", "y"}) {
    writers.emplace_back([&, who] {
      for (int n = 0; !done; ++n) {
        const std::string id = who + std::to_string(n);
        ASSERT_OK(place.platform.store("a")->put_file(place.platform.scope("a"), sample_file(id), "w"));
        ++written;
      }
    });
  }
  const auto slowly = [&written](const std::string&,
                                 const std::optional<Subject>& subject) -> base::Result<crypto::Digest> {
    constexpr int kWrites = 3, kTurns = 10'000;
    const int seen = written;
    for (int turn = 0; turn < kTurns && written < seen + kWrites; ++turn) std::this_thread::yield();
    return subject ? digest_of(*subject) : crypto::Digest{};
  };
  std::size_t at_instant = 0;
  while (written < 100) std::this_thread::yield();
  const int before = written;
  {
    auto copier = must(Copier::begin(here->upkeep, *place.platform.manager, tenant_id("a")));
    EXPECT_OK(copier.run(slowly, never, [&](std::vector<SubjectEntry> all) -> base::Result<void> {
      at_instant = all.size();
      return {};
    }));
  }
  done = true;
  for (std::thread& writer : writers) writer.join();
  EXPECT_GT(at_instant, static_cast<std::size_t>(before)) << "control: they wrote all the while";
}

TEST_F(ArchiveTest, KeysAreNotRotatedMeanwhile) {
  auto hold = must(here->upkeep.hold(tenant_id("a")));
  const tenancy::RotationOrder order{.tenant_key = true, .purposes = {crypto::Purpose::RecordSeal}};
  EXPECT_FAILS(tenancy::TenancyError::Busy, here->upkeep.rotate(tenant_id("a"), order));
  EXPECT_FAILS(tenancy::TenancyError::Busy, here->make("one"));
  EXPECT_FAILS(tenancy::TenancyError::Busy, here->upkeep.hold(tenant_id("a")));
  {
    const auto ended = std::move(hold);
  }
  EXPECT_OK(here->upkeep.rotate(tenant_id("a"), order));
  EXPECT_FAILS(tenancy::TenancyError::Busy, here->make("one"));
  ASSERT_OK(here->upkeep.complete(tenant_id("a")));
  EXPECT_OK(here->make("one")) << "control";
}

// A folder holds the backups that build upon each other; a new one goes on from the newest.
TEST_F(ArchiveTest, AFolderGoesOnFromItsNewest) {
  const auto next = [this](bool whole = false) {
    place.platform.clock.advance(std::chrono::seconds(1));
    return here->backups.make(tenant_id("a"), {.file = "nightly/", .since = {}, .whole = whole}, never);
  };
  const auto first = must(next());
  EXPECT_TRUE(first.base.empty());
  EXPECT_EQ(std::filesystem::path(first.file).parent_path(), "nightly");
  ASSERT_OK(place.platform.store("a")->put_file(place.platform.scope("a"), sample_file("later"), "later"));
  const auto second = must(next()), third = must(next());
  EXPECT_EQ(second.base, first.archive);
  EXPECT_EQ(second.written, 1u);
  EXPECT_EQ(third.base, second.archive);
  EXPECT_EQ(third.written, 0u);
  EXPECT_EQ(must(there->restore({"nightly/"}, "b")).archive, third.archive);
  EXPECT_OK(other.store("b")->get_file(other.scope("b"), file_id("later")));
  EXPECT_EQ(must(there->restore({first.file}, "c")).archive, first.archive) << "an earlier time";
  EXPECT_FAILS(StorageError::NotFound, other.store("c")->get_file(other.scope("c"), file_id("later")));

  // One between is missing: neither gone on from nor restored, until a new whole one stands for itself.
  std::filesystem::rename(dir() / second.file, dir() / "elsewhere");
  EXPECT_FAILS(StorageError::BackupRefused, next());
  EXPECT_FAILS(StorageError::BackupRefused, there->restore({"nightly/"}, "d"));
  const auto anew = must(next(true));
  EXPECT_TRUE(anew.base.empty());
  EXPECT_EQ(must(next()).base, anew.archive);
  EXPECT_OK(there->restore({"nightly/"}, "e"));

  std::ofstream(dir() / "nightly" / "foreign.bhk") << "no archive";
  EXPECT_FAILS(StorageError::BackupRefused, next());
  for (const char* name :
       {"nightly//", "nightly/a/b", "../x/", ".hidden/", "nightly/..", "/", "nightly/.x"}) {
    EXPECT_FAILS(StorageError::BackupRefused, here->make(name)) << name;
  }
  EXPECT_FAILS(StorageError::BackupRefused, here->make("nightly/", "one"));
  EXPECT_FAILS(StorageError::BackupRefused, there->restore({"nightly/", "one"}, "f"));
}

TEST_F(ArchiveTest, WithoutAFolderNoneAreMade) {
  Side none(place.platform, "", "");
  EXPECT_FAILS(StorageError::BackupRefused, none.make("one"));
}

}  // namespace
}  // namespace bulkhead::storage
