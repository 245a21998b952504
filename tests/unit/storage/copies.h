// What the tests of backups and moves share: a platform with one tenant in it on each backend, something of
// everything in its store, and the digests of what a store holds.
#pragma once

#include <string>
#include <vector>

#include "crypto/random.h"
#include "postgres_server.h"
#include "storage/transfer.h"
#include "storage/upkeep.h"
#include "store_fixture.h"

namespace bulkhead::storage {

struct EmbeddedPlace {
  static constexpr const char* kStore = "";
  static tenancy::IsolationMode mode() { return tenancy::IsolationMode::Hybrid; }
  EmbeddedPlace() { platform.add_tenant("a"); }
  TemporaryFolder folder;
  TestPlatform platform{folder.path() / "data"};
};

template <PostgresLayout layout, PostgresVectors vectors = PostgresVectors::Sealed>
struct PostgresPlaceFor {
  static constexpr const char* kStore = "pg";
  PostgresPlaceFor() { pg.add_tenant("a"); }
  PostgresPlatform pg{layout, vectors};
  TestPlatform& platform = pg.platform;
  TemporaryFolder& folder = pg.folder;
};

using AllPlaces =
    ::testing::Types<EmbeddedPlace, PostgresPlaceFor<PostgresLayout::Schema>,
                     PostgresPlaceFor<PostgresLayout::Database>,
                     PostgresPlaceFor<PostgresLayout::RowLevelSecurity>,
                     PostgresPlaceFor<PostgresLayout::Schema, PostgresVectors::Pgvector>,
                     PostgresPlaceFor<PostgresLayout::RowLevelSecurity, PostgresVectors::Pgvector>>;

// In the clear these stand in no file.
inline const std::vector<std::string>& planted_words() {
  static const std::vector<std::string> words = {"zqoriginal", "zqfilename", "zqpassage", "zqheading",
                                                 "zqsaid",     "zqshelf",    "zqkeyname", "zqgroup"};
  return words;
}

inline std::string original(int n) {
  return "zqoriginal " + std::to_string(n) + std::string(200'000 + 7 * n, static_cast<char>('a' + n % 26));
}

inline void fill_with_everything(TenantStore& store, const tenancy::TenantScope& scope, int files = 4) {
  for (int n = 0; n < files; ++n) {
    const std::string id = "f" + std::to_string(n);
    FileRecord file = sample_file(id, 1'800'000'000 + n / 2);
    file.name = "zqfilename" + id;
    file.owner = n % 2 ? "bob" : "alice";
    file.access.groups = {"zqgroup"};
    file.access.shared_with_tenant = n == 2;
    ASSERT_OK(store.put_file(scope, file, n == 3 ? std::string() : original(n)));
    ASSERT_OK(store.set_file_status(scope, file.id, n == 1 ? FileStatus::Failed : FileStatus::Processed,
                                    n == 1 ? "unreadable" : ""));
    if (n == 1) continue;
    auto chunks = sample_chunks(id, 5 + n, "zqpassage");
    for (Chunk& chunk : chunks) chunk.heading = "zqheading";
    ASSERT_OK(store.replace_chunks(scope, file.id, chunks, sample_vectors(5 + n)));
  }
  for (const char* id : {"v1", "v2"}) {
    VectorStoreRecord shelf{.id = store_id(id), .name = "zqshelf", .owner = "alice"};
    shelf.metadata_json = R"({"a":"b"})";
    shelf.created = 7;
    shelf.last_active = 9;
    shelf.is_default = id[1] == '1';
    ASSERT_OK(store.put_vector_store(scope, shelf));
  }
  for (int n = files - 1; n >= 0; --n) {
    AttachmentRecord each{.store = store_id("v1"), .file = file_id("f" + std::to_string(n))};
    each.created = 5;
    each.status = n == 1 ? AttachmentStatus::Failed : AttachmentStatus::Completed;
    each.error_code = n == 1 ? "invalid_file" : "";
    each.error_message = n == 1 ? "It can't be read." : "";
    each.chunks = static_cast<std::uint32_t>(n);
    ASSERT_OK(store.put_attachment(scope, each));
  }
  for (int n = 0; n < 3; ++n) {
    ChatRecord chat{.id = chat_id("c" + std::to_string(n))};
    chat.owner = n ? "alice" : "bob";
    chat.model = "m";
    chat.created = 3;
    chat.metadata_json = R"({"k":"v"})";
    chat.messages_json = "zqsaid " + std::to_string(n);
    chat.completion_json = "zqsaid too";
    ASSERT_OK(store.put_chat(scope, chat));
  }
  for (int n = 0; n < 2; ++n) {
    identity::ApiKeyRecord key{.id = key_id("k" + std::to_string(n)), .name = "zqkeyname", .user = "alice"};
    key.roles = {"member"};
    key.groups = {"zqgroup"};
    key.created = 4;
    key.revoked = n == 1;
    key.keyed_hash[0] = static_cast<std::uint8_t>(n + 1);
    ASSERT_OK(store.put_api_key(scope, key));
  }
}

// "<name> <digest>" of each subject, in the order of the lists.
inline std::vector<std::string> contents_of(TenantStore& store, const tenancy::TenantScope& scope) {
  std::vector<std::string> all;
  for (const std::string& name : must(list_subjects(store, scope))) {
    const auto subject = must(read_subject(store, scope, name));
    all.push_back(name + " " + (subject ? base::hex_encode(digest_of(*subject)) : "is gone"));
  }
  return all;
}

inline std::vector<std::string> contents_of(TestPlatform& platform, const char* tenant) {
  return contents_of(*platform.store(tenant), platform.scope(tenant));
}

}  // namespace bulkhead::storage
