// Erasure on every backend: what was erased is gone, its wrapped data key opens under nothing that is left,
// and a crash at any point is taken up again.
#include "storage/eraser.h"

#include <openssl/evp.h>

#include <atomic>
#include <future>
#include <latch>
#include <thread>

#include "crypto/random.h"
#include "identity/user_id.h"
#include "postgres_server.h"
#include "raw_database.h"
#include "storage/seal.h"
#include "store_fixture.h"

namespace bulkhead::storage {
namespace {

using crypto::Purpose;
using Kind = ErasureOrder::Kind;

const std::string kSecretText = "zqerasedplaintextwords";

// Over a platform with tenant "a" in it.
class Erasing {
 public:
  explicit Erasing(TestPlatform& where)
      : platform(where),
        signer(must(crypto::SigningKey::from_seed(crypto::random_secret(32)))),
        upkeep(*where.manager, *where.directory),
        eraser(*where.platform, *where.directory, upkeep, signer, where.clock) {}

  void fill() {
    const auto scope = platform.scope("a");
    const auto store = platform.store("a");
    for (const char* id : {"f1", "f2"}) {
      ASSERT_OK(store->put_file(scope, sample_file(id), kSecretText + id));
      ASSERT_OK(store->replace_chunks(scope, file_id(id), sample_chunks(id, 3), sample_vectors(3)));
    }
    FileRecord other = sample_file("f3");
    other.owner = "bob";
    ASSERT_OK(store->put_file(scope, other, "bob's"));
    for (const char* id : {"c1", "c2"}) {
      ChatRecord chat{.id = chat_id(id)};
      chat.owner = id[1] == '1' ? "alice" : "bob";
      chat.messages_json = kSecretText;
      ASSERT_OK(store->put_chat(scope, chat));
    }
    for (const char* id : {"k1", "k2"}) {
      ASSERT_OK(store->put_api_key(scope, {.id = key_id(id), .user = id[1] == '1' ? "alice" : "bob"}));
    }
  }
  base::Result<Erasure> erase(Kind kind, const std::string& name) {
    return eraser.erase(tenant_id("a"), {.kind = kind,
                                         .name = name,
                                         .requested_by = "operator",
                                         .users = kind == Kind::User ? std::vector<std::string>{name}
                                                                     : std::vector<std::string>{}});
  }
  bool there(const std::string& file) {
    return platform.store("a")->file_content(platform.scope("a"), file_id(file)).ok();
  }

  TestPlatform& platform;
  crypto::SigningKey signer;
  Upkeep upkeep;
  Eraser eraser;
};

struct Embedded {
  Embedded() { platform.add_tenant("a"); }
  TemporaryFolder folder;
  TestPlatform platform{folder.path() / "data"};
};
template <PostgresLayout layout>
struct OnPostgres {
  OnPostgres() { pg.add_tenant("a"); }
  PostgresPlatform pg{layout};
  TestPlatform& platform = pg.platform;
};

template <typename Place>
class EraserTest : public ::testing::Test {
 protected:
  void SetUp() override { erasing.fill(); }
  Place place;
  Erasing erasing{place.platform};
};
using Places =
    ::testing::Types<Embedded, OnPostgres<PostgresLayout::Schema>, OnPostgres<PostgresLayout::Database>,
                     OnPostgres<PostgresLayout::RowLevelSecurity>>;
TYPED_TEST_SUITE(EraserTest, Places);

TYPED_TEST(EraserTest, ADocumentIsGoneAndTheRestStays) {
  auto& e = this->erasing;
  const std::string key = must(e.platform.store("a")->data_key_id(e.platform.scope("a"), "file/f1"));
  const auto done = e.erase(Kind::Document, "f1");
  ASSERT_OK(done);
  EXPECT_NE(done->certificate.find(key), std::string::npos) << "the certificate names the key";
  EXPECT_OK(tenancy::verify_certificate(done->certificate, e.signer.verify_key()));
  std::string altered = done->certificate;
  altered.replace(altered.find("f1"), 2, "f2");
  EXPECT_FALSE(tenancy::verify_certificate(altered, e.signer.verify_key()).ok());
  EXPECT_FALSE(e.there("f1"));
  EXPECT_TRUE(e.there("f2")) << "control";
  EXPECT_OK(e.platform.store("a")->get_chat(e.platform.scope("a"), chat_id("c1")));
  EXPECT_FAILS(StorageError::NotFound, e.erase(Kind::Document, "f1"));
  EXPECT_FAILS(StorageError::NotFound, e.erase(Kind::Document, "no-such"));
  EXPECT_EQ(must(e.eraser.certificates(tenant_id("a"))).size(), 1u);
}

TYPED_TEST(EraserTest, AChatAndAUsersDataAreGone) {
  auto& e = this->erasing;
  ASSERT_OK(e.erase(Kind::Chat, "c2"));
  const auto done = e.erase(Kind::User, "alice");
  ASSERT_OK(done);
  EXPECT_EQ(done->api_keys, std::vector<std::string>{"k1"});
  const auto scope = e.platform.scope("a");
  const auto store = e.platform.store("a");
  EXPECT_EQ(must(store->list_files(scope, {})).size(), 1u);
  EXPECT_TRUE(must(store->list_chats(scope, {}, {})).empty());
  EXPECT_EQ(must(store->list_api_keys(scope)).size(), 1u);
  EXPECT_TRUE(e.there("f3")) << "bob's stays";
  EXPECT_FAILS(StorageError::NotFound, e.erase(Kind::User, "alice"));
}

TYPED_TEST(EraserTest, AUsersRecordsOfBeforeAndNowAreGone) {
  auto& e = this->erasing;
  const auto scope = e.platform.scope("a");
  const auto store = e.platform.store("a");
  const std::string id = identity::user_id("https://a.example", "alice");
  const std::string other = identity::user_id("https://b.example", "alice");
  for (const auto& [name, owner] : {std::pair("f8", &id), std::pair("f9", &other)}) {
    FileRecord file = sample_file(name);
    file.owner = *owner;
    ASSERT_OK(store->put_file(scope, file, "text"));
  }
  ASSERT_OK(e.eraser.erase(tenant_id("a"), {.kind = Kind::User,
                                            .name = "https://a.example#alice",
                                            .requested_by = "tenant",
                                            .users = {id, "alice"}}));
  EXPECT_FALSE(e.there("f1"));
  EXPECT_FALSE(e.there("f8"));
  EXPECT_TRUE(e.there("f9")) << "another issuer's";
  EXPECT_TRUE(e.there("f3")) << "bob's";
}

// What lies on in a log, a free page or a backup of the store opens under no key that is left.
TYPED_TEST(EraserTest, TheWrappedDataKeyOpensUnderNothingThatIsLeft) {
  auto& e = this->erasing;
  const auto scope = e.platform.scope("a");
  const std::uint32_t before = scope.key_version(Purpose::RecordSeal);
  const base::Secret data_key = make_data_key();
  // As the record-seal key of now wraps one, as a copy of the store of now has it.
  const WrappedDataKey copied = wrap_data_key(scope, "file/f1", data_key);
  EXPECT_OK(unwrap_data_key(scope, "file/f1", copied.key_version, copied.box)) << "control";
  ASSERT_OK(e.erase(Kind::Document, "f1"));
  for (const auto& now : {scope, e.platform.scope("a")}) {
    EXPECT_EQ(now.key(Purpose::RecordSeal, before), nullptr);
    EXPECT_FAILS(StorageError::SealBroken, unwrap_data_key(now, "file/f1", copied.key_version, copied.box));
    EXPECT_FAILS(StorageError::SealBroken,
                 unwrap_data_key(now, "file/f1", now.key_version(Purpose::RecordSeal), copied.box));
  }
}

// As if the process had died when the plan was durable, and after each step that follows.
TYPED_TEST(EraserTest, ACrashIsTakenUpAgain) {
  auto& e = this->erasing;
  const std::string plan =
      R"({"kind":"document","name":"f1","by":"operator","records":[{"id":"file/f1","key":"abc"}],"api_keys":["k1"]})";
  for (int step = 0; step < 3; ++step) {
    const auto scope = e.platform.scope("a");
    const auto store = e.platform.store("a");
    if (step > 0) ASSERT_OK(store->put_file(scope, sample_file("f1"), kSecretText));
    if (step > 0) ASSERT_OK(store->put_api_key(scope, {.id = key_id("k1"), .user = "alice"}));
    ASSERT_OK(e.platform.platform->begin_erasure(tenant_id("a"), plan));
    if (step > 0) ASSERT_OK(store->delete_file(scope, file_id("f1")));
    if (step > 1)
      ASSERT_OK(e.upkeep.rotate(tenant_id("a"), {.tenant_key = true, .purposes = {Purpose::RecordSeal}}));
    Upkeep upkeep(*e.platform.manager, *e.platform.directory);
    Eraser next(*e.platform.platform, *e.platform.directory, upkeep, e.signer, e.platform.clock);
    next.resume([] { return false; });
    EXPECT_FALSE(e.there("f1"));
    EXPECT_EQ(must(store->list_api_keys(e.platform.scope("a"))).size(), 1u);
    EXPECT_TRUE(must(e.platform.platform->pending_erasures()).empty());
    const auto certificates = must(next.certificates(tenant_id("a")));
    ASSERT_EQ(certificates.size(), static_cast<std::size_t>(step + 1));
    EXPECT_OK(tenancy::verify_certificate(certificates.back(), e.signer.verify_key()));
    EXPECT_TRUE(e.platform.directory->keyring().rotating().empty());
    EXPECT_TRUE(e.there("f2"));
  }
}

// Every page of the store and of its log decrypted, free ones and the slack in used ones included: what
// whoever stole the database key could lay open. SQLCipher 4: AES-256-CBC, the IV in the first 16 of the
// last 80 bytes of a page, the first 16 bytes of the file in plain.
std::string laid_open(const TestPlatform& platform, const base::Secret& key) {
  constexpr std::size_t kPage = 4096, kReserve = 80, kLogHeader = 32, kFrameHeader = 24;
  std::string all;
  const auto decrypt = [&](std::string_view page, std::size_t skip) {
    EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
    const auto* bytes = reinterpret_cast<const unsigned char*>(page.data());
    std::string plain(kPage + 16, '\0');
    int size = 0;
    EVP_DecryptInit_ex(context, EVP_aes_256_cbc(), nullptr, key.reveal().data(), bytes + kPage - kReserve);
    EVP_CIPHER_CTX_set_padding(context, 0);
    EVP_DecryptUpdate(context, reinterpret_cast<unsigned char*>(plain.data()), &size, bytes + skip,
                      static_cast<int>(kPage - kReserve - skip));
    EVP_CIPHER_CTX_free(context);
    all.append(plain, 0, static_cast<std::size_t>(size));
  };
  const std::string file = bytes_of(platform.database_path("a"));
  for (std::size_t at = 0; at + kPage <= file.size(); at += kPage) {
    decrypt(std::string_view(file).substr(at, kPage), at == 0 ? 16 : 0);
  }
  const std::string log = bytes_of(platform.database_path("a").string() + "-wal");
  for (std::size_t at = kLogHeader; at + kFrameHeader + kPage <= log.size(); at += kFrameHeader + kPage) {
    decrypt(std::string_view(log).substr(at + kFrameHeader, kPage), 0);
  }
  return all;
}

TEST(Erasure, ScansOfTheEmbeddedStoreFindNeitherTextNorKey) {
  Embedded place;
  Erasing e(place.platform);
  e.fill();
  const auto scope = place.platform.scope("a");
  ASSERT_OK(place.platform.store("a")->replace_chunks(
      scope, file_id("f1"), sample_chunks("f1", 3, "zqindexedword"), sample_vectors(3)));
  const base::Secret database_key = scope.key(Purpose::Database).clone();
  place.platform.manager->close(tenant_id("a"));
  const auto boxes = RawDatabase(place.platform.database_path("a"), &database_key)
                         .run("SELECT box FROM data_keys WHERE subject = 'file/f1'");
  ASSERT_EQ(boxes.size(), 1u);
  // Words of the text index are protected by the file's encryption alone.
  EXPECT_NE(laid_open(place.platform, database_key).find(boxes[0]), std::string::npos) << "control";
  EXPECT_NE(laid_open(place.platform, database_key).find("zqindexedword"), std::string::npos) << "control";
  ASSERT_OK(e.erase(Kind::Document, "f1"));
  const std::string after = laid_open(place.platform, database_key);
  EXPECT_EQ(after.find(boxes[0]), std::string::npos);
  EXPECT_EQ(after.find("zqindexedword"), std::string::npos);
  place.platform.manager->close(tenant_id("a"));
  EXPECT_EQ(laid_open(place.platform, database_key).find(boxes[0]), std::string::npos);
  for (const auto& found : files_holding(place.folder.path(), {kSecretText})) ADD_FAILURE() << found;
}

bool on_disk(const std::string& bytes) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
           PostgresServer::shared().data_folder(),
           std::filesystem::directory_options::skip_permission_denied)) {
    if (entry.is_regular_file() && bytes_of(entry.path()).find(bytes) != std::string::npos) return true;
  }
  return false;
}

TEST(Erasure, OfOneTenantHoldsUpNoOther) {
  Embedded place;
  place.platform.add_tenant("b");
  Erasing e(place.platform);
  e.fill();
  ASSERT_OK(place.platform.store("b")->put_file(place.platform.scope("b"), sample_file("f1"), "b's"));
  std::latch inside(1), go_on(1);
  std::atomic<bool> first{true};
  e.upkeep.on_rotated([&](const base::TenantId& tenant, const tenancy::KeyStatus&) {
    if (tenant != tenant_id("a") || !first.exchange(false)) return;
    inside.count_down();
    go_on.wait();
  });
  std::thread slow([&] { EXPECT_OK(e.erase(Kind::Document, "f1")); });
  inside.wait();
  std::promise<bool> done;
  std::thread other([&] {
    done.set_value(
        e.eraser.erase(tenant_id("b"), {.kind = Kind::Document, .name = "f1", .requested_by = "tenant"})
            .ok());
  });
  auto ended = done.get_future();
  ASSERT_EQ(ended.wait_for(std::chrono::seconds(60)), std::future_status::ready)
      << "it waits for the other's";
  EXPECT_TRUE(ended.get());
  // What is under way is nobody's to take up.
  e.eraser.resume([] { return false; });
  EXPECT_EQ(must(place.platform.platform->pending_erasures()).size(), 1u);
  go_on.count_down();
  slow.join();
  other.join();
  EXPECT_TRUE(must(place.platform.platform->pending_erasures()).empty());
  EXPECT_EQ(must(e.eraser.certificates(tenant_id("a"))).size(), 1u);
}

// In PostgreSQL a deleted row lies on until VACUUM, and in the log until it is written over. What lies on is
// shown to open under no key; after the server's own housekeeping it is not there any more either.
TEST(Erasure, ScansOfPostgresFilesFindNeitherTextNorKeyAfterHousekeeping) {
  OnPostgres<PostgresLayout::Schema> place;
  Erasing e(place.platform);
  e.fill();
  auto raw = place.pg.superuser("a");
  const std::string hex = raw->must_run("SELECT encode(key_box, 'hex') FROM files WHERE id = 'f1'").at(0);
  const std::string version = raw->must_run("SELECT key_version FROM files WHERE id = 'f1'").at(0);
  const auto box = base::hex_decode(hex);
  ASSERT_TRUE(box.has_value());
  const std::string bytes(base::as_text(base::ByteView(*box)));
  raw->must_run("CHECKPOINT");
  EXPECT_TRUE(on_disk(bytes)) << "control: the wrapped key is found before";
  EXPECT_FALSE(on_disk(kSecretText)) << "the text never";
  const auto scope = place.platform.scope("a");
  EXPECT_OK(unwrap_data_key(scope, "file/f1", static_cast<std::uint32_t>(std::stoul(version)), *box))
      << "control";

  ASSERT_OK(e.erase(Kind::Document, "f1"));
  EXPECT_FAILS(StorageError::SealBroken,
               unwrap_data_key(scope, "file/f1", static_cast<std::uint32_t>(std::stoul(version)), *box));
  raw->must_run("VACUUM FULL files");
  // The server removes segments of its log that it no longer needs (wal_recycle = off).
  for (int i = 0; i < 3; ++i) {
    raw->must_run("SELECT pg_switch_wal()");
    raw->must_run("CHECKPOINT");
  }
  EXPECT_FALSE(on_disk(bytes));
  EXPECT_FALSE(on_disk(kSecretText));
}

}  // namespace
}  // namespace bulkhead::storage
