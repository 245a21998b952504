// What every backend of TenantStore must do. A backend plugs in by a type with
//   void add_tenant(name, storage_bytes_max);  void add_tenant(name, TenantLimits);  TenantScope scope(name);
//   std::shared_ptr<TenantStore> store(name);  void suspend(name);
//   std::shared_ptr<TenantStore> reopened(name)   closed and opened again
//   TestPlatform& deployment();
// and INSTANTIATE_TYPED_TEST_SUITE_P(Name, StoreContract, Backend). What is demanded of rotations stands in
// store_rotation_contract.h.
#pragma once

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "storage/upkeep.h"
#include "store_fixture.h"

namespace bulkhead::storage {

template <typename Backend>
class StoreContract : public ::testing::Test {
 protected:
  void SetUp() override {
    backend.add_tenant("hospital", 64u << 20);
    backend.add_tenant("lawfirm", 64u << 20);
    own.emplace(backend.scope("hospital"));
    foreign.emplace(backend.scope("lawfirm"));
    store = backend.store("hospital");
  }
  void put(std::string_view id, std::int64_t created = 1'800'000'000, std::string_view content = "text") {
    ASSERT_OK(store->put_file(*own, sample_file(id, created), content));
  }
  void put_store(std::string_view id, bool is_default = false, std::int64_t created = 1) {
    VectorStoreRecord record{.id = store_id(id)};
    record.name = "Store";
    record.owner = "alice";
    record.created = created;
    record.is_default = is_default;
    ASSERT_OK(store->put_vector_store(*own, record));
  }
  void attach(std::string_view to, std::string_view file,
              AttachmentStatus status = AttachmentStatus::Completed, std::int64_t created = 1) {
    AttachmentRecord record{.store = store_id(to), .file = file_id(file)};
    record.created = created;
    record.status = status;
    ASSERT_OK(store->put_attachment(*own, record));
  }
  ChatRecord chat(std::string_view id, std::int64_t created = 1) {
    ChatRecord record{.id = chat_id(id)};
    record.owner = "alice";
    record.model = "m";
    record.created = created;
    record.messages_json = R"([{"role":"user","content":"hello"}])";
    record.completion_json = R"({"id":"x"})";
    return record;
  }
  // Every member, called with `scope`; the codes of what failed.
  std::vector<base::Error> all_failures(const tenancy::TenantScope& scope) {
    std::vector<base::Error> errors;
    calls = 0;
    const auto note = [&](auto result) {
      ++calls;
      if (!result) errors.push_back(result.take_error());
    };
    const auto file = file_id("f1");
    const auto vs = store_id("vs1");
    note(store->put_file(scope, sample_file("f2"), "x"));
    note(store->get_file(scope, file));
    note(store->list_files(scope, {}));
    note(store->file_content(scope, file));
    note(store->set_file_status(scope, file, FileStatus::Processed, ""));
    note(store->set_file_access(scope, file, {}));
    note(store->usage(scope));
    note(store->recount_usage(scope));
    note(store->put_vector_store(scope, {.id = store_id("vs2"), .name = "", .owner = "alice"}));
    note(store->get_vector_store(scope, vs));
    note(store->list_vector_stores(scope, {}));
    note(store->default_vector_stores(scope));
    note(store->put_attachment(scope, {.store = vs, .file = file}));
    note(store->get_attachment(scope, vs, file));
    note(store->list_attachments(scope, vs, {}));
    note(store->replace_chunks(scope, file, sample_chunks("f1", 2), sample_vectors(2)));
    note(store->has_chunks(scope, file));
    note(store->file_chunks(scope, file));
    note(store->get_chunks(scope, keys));
    note(store->put_vectors(scope, file, 1, sample_vectors(2)));
    note(store->for_each_vector(scope, [](ChunkKey, const base::FileId&, const ChunkVectors&) {}));
    note(store->search_text(scope, {"leave"}, {file}, 5));
    note(store->candidates(scope, {vs}));
    note(store->put_api_key(scope, {.id = key_id("k2")}));
    note(store->list_api_keys(scope));
    note(store->revoke_api_key(scope, key_id("k1")));
    note(store->delete_api_key(scope, key_id("k1")));
    note(store->reseal_some(scope));
    note(store->data_key_id(scope, "file/f1"));
    note(store->put_chat(scope, chat("c2")));
    note(store->get_chat(scope, chat_id("c1")));
    note(store->list_chats(scope, {}, {}));
    note(store->delete_expired_chats(scope, 5));
    note(store->delete_chat(scope, chat_id("c1")));
    note(store->delete_attachment(scope, vs, file));
    note(store->delete_vector_store(scope, vs));
    note(store->delete_file(scope, file));
    return errors;
  }
  void fill() {
    put("f1");
    put_store("vs1");
    attach("vs1", "f1");
    ASSERT_OK(store->replace_chunks(*own, file_id("f1"), {}, {}));
    ASSERT_OK(store->put_api_key(*own, {.id = key_id("k1")}));
    ASSERT_OK(store->put_chat(*own, chat("c1")));
  }

  Backend backend;
  std::optional<tenancy::TenantScope> own;
  std::optional<tenancy::TenantScope> foreign;
  std::shared_ptr<TenantStore> store;
  std::vector<ChunkKey> keys;
  std::size_t calls = 0;
};

TYPED_TEST_SUITE_P(StoreContract);

TYPED_TEST_P(StoreContract, EveryMemberRefusesAnotherTenantsScope) {
  this->fill();
  const auto errors = this->all_failures(*this->foreign);
  EXPECT_EQ(errors.size(), this->calls);
  for (const auto& error : errors) EXPECT_TRUE(error.is(StorageError::ScopeMismatch)) << error.describe();
  // Control: with the tenant's own scope every one of them works, and nothing had been changed.
  EXPECT_OK(this->store->get_chat(*this->own, chat_id("c1")));
  for (const auto& error : this->all_failures(*this->own)) ADD_FAILURE() << error.describe();
}

TYPED_TEST_P(StoreContract, EveryMemberRefusesADeadScope) {
  this->fill();
  this->backend.suspend("hospital");
  const auto errors = this->all_failures(*this->own);
  EXPECT_EQ(errors.size(), this->calls);
  for (const auto& error : errors) EXPECT_TRUE(error.is(StorageError::TenantGone)) << error.describe();
}

TYPED_TEST_P(StoreContract, FilesComeBackAsTheyWere) {
  for (std::size_t bytes : {0UL, 1UL, 262'143UL, 262'144UL, 262'145UL, 3'000'000UL}) {
    const std::string id = "f-" + std::to_string(bytes);
    std::string content(bytes, 'x');
    for (std::size_t i = 0; i < bytes; i += 97) content[i] = static_cast<char>(i * 31);
    FileRecord file = sample_file(id);
    file.status = FileStatus::Processing;
    file.status_detail = "reading";
    file.access = {.shared_with_tenant = true, .users = {"bob", ""}, .groups = {}, .roles = {"r\"'"}};
    ASSERT_OK(this->store->put_file(*this->own, file, content));
    const auto read = this->store->get_file(*this->own, file.id);
    ASSERT_OK(read);
    EXPECT_EQ(read->name, file.name);
    EXPECT_EQ(read->purpose, file.purpose);
    EXPECT_EQ(read->owner, file.owner);
    EXPECT_EQ(read->content_type, file.content_type);
    EXPECT_EQ(read->bytes, bytes);
    EXPECT_EQ(read->created, file.created);
    EXPECT_EQ(read->status, FileStatus::Processing);
    EXPECT_EQ(read->status_detail, "reading");
    EXPECT_TRUE(read->access.shared_with_tenant);
    EXPECT_EQ(read->access.users, file.access.users);
    EXPECT_EQ(read->access.roles, file.access.roles);
    EXPECT_EQ(read->sha256, file.sha256);
    const auto got = this->store->file_content(*this->own, file.id);
    ASSERT_OK(got);
    EXPECT_EQ(*got == content, true) << bytes;
  }
  ASSERT_OK(this->store->set_file_status(*this->own, file_id("f-1"), FileStatus::Failed, "why"));
  EXPECT_EQ(this->store->get_file(*this->own, file_id("f-1"))->status_detail, "why");
  EXPECT_FAILS(StorageError::NotFound, this->store->get_file(*this->own, file_id("none")));
  EXPECT_FAILS(StorageError::NotFound, this->store->file_content(*this->own, file_id("none")));
  EXPECT_FAILS(StorageError::NotFound, this->store->delete_file(*this->own, file_id("none")));
  EXPECT_FAILS(StorageError::NotFound,
               this->store->set_file_status(*this->own, file_id("none"), FileStatus::Failed, ""));
  EXPECT_FAILS(StorageError::NotFound, this->store->set_file_access(*this->own, file_id("none"), {}));
}

TYPED_TEST_P(StoreContract, AnIdIsNeverTakenOver) {
  this->put("f1", 1, "first");
  EXPECT_FAILS(StorageError::AlreadyExists, this->store->put_file(*this->own, sample_file("f1"), "second"));
  EXPECT_EQ(*this->store->file_content(*this->own, file_id("f1")), "first");
  this->put_store("vs1");
  VectorStoreRecord taken{.id = store_id("vs1"), .name = "mine", .owner = "mallory"};
  EXPECT_FAILS(StorageError::AlreadyExists, this->store->put_vector_store(*this->own, taken));
  ChatRecord chat = this->chat("c1");
  ASSERT_OK(this->store->put_chat(*this->own, chat));
  chat.owner = "mallory";
  EXPECT_FAILS(StorageError::AlreadyExists, this->store->put_chat(*this->own, chat));
  ASSERT_OK(this->store->put_api_key(*this->own, {.id = key_id("k1")}));
  EXPECT_FAILS(StorageError::AlreadyExists, this->store->put_api_key(*this->own, {.id = key_id("k1")}));
}

TYPED_TEST_P(StoreContract, QuotaIsEnforcedAndGivenBack) {
  const std::string big(40u << 20, 'q');
  EXPECT_EQ(must(this->store->usage(*this->own)), Usage());
  this->put("f1", 1, big);
  EXPECT_GE(must(this->store->usage(*this->own)).bytes, big.size());
  EXPECT_LE(must(this->store->usage(*this->own)).bytes, big.size() + (64u << 10))
      << "seals and rows are small";
  const auto refused = this->store->put_file(*this->own, sample_file("f2"), big);
  EXPECT_FAILS(StorageError::QuotaExceeded, refused);
  EXPECT_NE(refused.error().message().find("Delete files"), std::string::npos) << "it says what to do";
  EXPECT_FAILS(StorageError::NotFound, this->store->get_file(*this->own, file_id("f2")));
  ASSERT_OK(this->store->delete_file(*this->own, file_id("f1")));
  EXPECT_EQ(must(this->store->usage(*this->own)), Usage());
  this->put("f2", 1, big);
}

// After each step what is counted is what a count of all rows gives, and it grew by what was brought.
TYPED_TEST_P(StoreContract, EverythingThatIsKeptIsCounted) {
  const auto& own = *this->own;
  TenantStore& store = *this->store;
  std::uint64_t before = 0;
  const auto grew = [&](std::string_view what, std::uint64_t by) {
    const Usage usage = must(store.usage(own));
    EXPECT_GE(usage.bytes, before + by) << what;
    EXPECT_EQ(usage, must(store.recount_usage(own))) << what;
    before = usage.bytes;
  };
  const std::string long_text(50'000, 'm');
  this->put("f1", 1, long_text);
  grew("an original", long_text.size());
  access::DocumentAccess access;
  for (int i = 0; i < 1000; ++i) access.users.push_back("somebody-" + std::to_string(i));
  ASSERT_OK(store.set_file_access(own, file_id("f1"), access));
  grew("an access list", 10'000);
  VectorStoreRecord vs{.id = store_id("vs1")};
  vs.owner = "alice";
  ASSERT_OK(store.put_vector_store(own, vs));
  grew("a vector store", 1);
  vs.metadata_json = "{\"a\":\"" + long_text + "\"}";
  ASSERT_OK(store.put_vector_store(own, vs));
  grew("metadata", long_text.size());
  this->attach("vs1", "f1", AttachmentStatus::InProgress);
  grew("an attachment", 1);
  ASSERT_OK(store.replace_chunks(own, file_id("f1"), sample_chunks("f1", 300), sample_vectors(300, 64)));
  grew("chunks and vectors", 300 * (40 + 64 * 4));
  ASSERT_OK(store.replace_chunks(own, file_id("f1"), sample_chunks("f1", 400), sample_vectors(400, 64)));
  grew("more chunks in their place", 100 * (40 + 64 * 4));
  const auto chunks = must(store.file_chunks(own, file_id("f1")));
  ASSERT_OK(store.put_vectors(own, file_id("f1"), chunks.batch, sample_vectors(400, 128)));
  grew("larger vectors", 400 * 64 * 4);
  ASSERT_OK(store.set_file_status(own, file_id("f1"), FileStatus::Failed, long_text));
  grew("why it failed", long_text.size());
  ChatRecord chat = this->chat("c1");
  chat.messages_json = long_text;
  ASSERT_OK(store.put_chat(own, chat));
  grew("a chat", long_text.size());
  chat.completion_json = long_text;
  ASSERT_OK(store.put_chat(own, chat));
  grew("a longer chat", long_text.size() - 100);
  ASSERT_OK(store.put_api_key(own, {.id = key_id("k1"), .name = "key"}));
  grew("a key", 1);
  const Usage all = must(store.usage(own));
  EXPECT_EQ(all, (Usage{all.bytes, 1, 1, 1, 1}));
  ASSERT_OK(store.revoke_api_key(own, key_id("k1")));
  this->store = this->backend.reopened("hospital");
  EXPECT_EQ(must(this->store->usage(own)), all) << "it is kept";
  TenantStore& again = *this->store;
  ASSERT_OK(again.delete_api_key(own, key_id("k1")));
  ASSERT_OK(again.delete_chat(own, chat_id("c1")));
  ASSERT_OK(again.delete_file(own, file_id("f1")));
  EXPECT_EQ(must(again.usage(own)), must(again.recount_usage(own))) << "what went with the file, too";
  ASSERT_OK(again.delete_vector_store(own, store_id("vs1")));
  EXPECT_EQ(must(again.usage(own)), Usage());
}

TYPED_TEST_P(StoreContract, WhatIsNoOriginalMeetsTheQuotaToo) {
  const auto& own = *this->own;
  TenantStore& store = *this->store;
  this->put("f1");
  this->put_store("vs1");
  std::string text;
  while (text.size() < 5u << 20) text += "parental leave ";
  VectorStoreRecord vs = must(store.get_vector_store(own, store_id("vs1")));
  vs.metadata_json = std::string(60u << 20, 'x');  // of a quota of 64 MiB
  ASSERT_OK(store.put_vector_store(own, vs));
  access::DocumentAccess huge;
  huge.users.assign(6'000, std::string(1000, 'u'));
  EXPECT_FAILS(StorageError::QuotaExceeded, store.set_file_access(own, file_id("f1"), huge));
  EXPECT_EQ(must(store.get_file(own, file_id("f1"))).access.users.size(), 0u) << "nothing was changed";
  ChatRecord chat = this->chat("c1");
  chat.messages_json = text;
  EXPECT_FAILS(StorageError::QuotaExceeded, store.put_chat(own, chat));
  std::vector<Chunk> chunks = sample_chunks("f1", 1);
  chunks[0].text = text;
  EXPECT_FAILS(StorageError::QuotaExceeded,
               store.replace_chunks(own, file_id("f1"), chunks, sample_vectors(1)));
  EXPECT_FALSE(must(store.has_chunks(own, file_id("f1"))));
  // Less than before is never refused, and neither is the note of how an ingest ended.
  ASSERT_OK(store.set_file_status(own, file_id("f1"), FileStatus::Failed, "It does not fit."));
  vs.metadata_json = "{}";
  ASSERT_OK(store.put_vector_store(own, vs));
  EXPECT_OK(store.put_chat(own, chat)) << "control: now there is room";
  EXPECT_EQ(must(store.usage(own)), must(store.recount_usage(own)));
}

TYPED_TEST_P(StoreContract, NumbersOfObjectsAreBounded) {
  tenancy::TenantLimits limits;
  limits.files_max = limits.vector_stores_max = limits.kept_chats_max = limits.api_keys_max = 2;
  this->backend.add_tenant("clinic", limits);
  const auto own = this->backend.scope("clinic");
  const auto store = this->backend.store("clinic");
  const auto all = [&](const std::string& n) {
    VectorStoreRecord vs{.id = store_id("vs" + n)};
    vs.owner = "alice";
    return std::vector<base::Result<void>>{
        store->put_file(own, sample_file("f" + n), "x"), store->put_vector_store(own, vs),
        store->put_chat(own, this->chat("c" + n)), store->put_api_key(own, {.id = key_id("k" + n)})};
  };
  for (const char* n : {"1", "2"}) {
    for (const auto& made : all(n)) EXPECT_OK(made);
  }
  for (const auto& refused : all("3")) EXPECT_FAILS(StorageError::QuotaExceeded, refused);
  EXPECT_EQ(must(store->list_files(own, {})).size(), 2u);
  EXPECT_EQ(must(store->list_api_keys(own)).size(), 2u);
  // What is there already can be changed, and what was deleted makes room.
  EXPECT_OK(store->put_chat(own, this->chat("c1")));
  ASSERT_OK(store->delete_file(own, file_id("f1")));
  ASSERT_OK(store->delete_vector_store(own, store_id("vs1")));
  ASSERT_OK(store->delete_chat(own, chat_id("c1")));
  ASSERT_OK(store->delete_api_key(own, key_id("k1")));
  for (const auto& made : all("3")) EXPECT_OK(made);
}

TYPED_TEST_P(StoreContract, WritersAtOnceAreCountedOnce) {
  std::vector<std::thread> writers;
  std::atomic<int> failed{0};
  for (int writer = 0; writer < 4; ++writer) {
    writers.emplace_back([&, writer] {
      for (int i = 0; i < 10; ++i) {
        const std::string id = "f" + std::to_string(writer) + "-" + std::to_string(i);
        const bool ok =
            this->store->put_file(*this->own, sample_file(id), std::string(5000, 'x')).ok() &&
            this->store->replace_chunks(*this->own, file_id(id), sample_chunks(id, 20), sample_vectors(20))
                .ok() &&
            (i % 2 == 0 || this->store->delete_file(*this->own, file_id(id)).ok());
        failed += ok ? 0 : 1;
      }
    });
  }
  for (std::thread& each : writers) each.join();
  EXPECT_EQ(failed, 0);
  const Usage usage = must(this->store->usage(*this->own));
  EXPECT_EQ(usage.files, 20u);
  EXPECT_EQ(usage, must(this->store->recount_usage(*this->own)));
}

TYPED_TEST_P(StoreContract, ListsAreCompleteInOrderAndBounded) {
  // Two of each second, so that order within a second matters too.
  for (int i = 0; i < 250; ++i) this->put("f" + std::to_string(i), 1000 + i / 2);
  for (bool ascending : {false, true}) {
    std::vector<std::string> seen;
    Page page{.limit = 37, .after = std::nullopt, .ascending = ascending};
    while (true) {
      const auto files = this->store->list_files(*this->own, page);
      ASSERT_OK(files);
      if (files->empty()) break;
      EXPECT_LE(files->size(), 37u);
      for (const auto& file : *files) seen.push_back(file.id.str());
      page.after = seen.back();
    }
    ASSERT_EQ(seen.size(), 250u);
    EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()).size(), 250u);
    EXPECT_EQ(seen.front(), ascending ? "f0" : "f249");
    EXPECT_EQ(seen.back(), ascending ? "f249" : "f0");
  }
  EXPECT_EQ(this->store->list_files(*this->own, {.limit = 0})->size(), 1u);
  EXPECT_LE(this->store->list_files(*this->own, {.limit = 1'000'000})->size(), 101u);
  EXPECT_FAILS(StorageError::NotFound,
               this->store->list_files(*this->own, {.limit = 5, .after = "' OR 1=1 --"}));

  for (int i = 0; i < 12; ++i) {
    this->put_store("vs" + std::to_string(i), i % 4 == 0, i);
    this->attach("vs0", "f" + std::to_string(i), AttachmentStatus::Completed, i);
    ChatRecord chat = this->chat("c" + std::to_string(i), i);
    if (i % 3 == 0) chat.owner = "bob";
    ASSERT_OK(this->store->put_chat(*this->own, chat));
  }
  const auto stores = this->store->list_vector_stores(*this->own, {.limit = 5, .after = "vs10"});
  ASSERT_OK(stores);
  ASSERT_EQ(stores->size(), 5u);
  EXPECT_EQ(stores->front().id.str(), "vs9");
  EXPECT_EQ(this->store->default_vector_stores(*this->own)->size(), 3u);
  const auto files = this->store->list_attachments(*this->own, store_id("vs0"),
                                                   {.limit = 3, .after = "f4", .ascending = true});
  ASSERT_OK(files);
  ASSERT_EQ(files->size(), 3u);
  EXPECT_EQ(files->front().file.str(), "f5");
  EXPECT_FAILS(StorageError::NotFound, this->store->list_attachments(*this->own, store_id("none"), {}));
  EXPECT_EQ(this->store->list_chats(*this->own, {"bob"}, {})->size(), 4u);
  EXPECT_EQ(this->store->list_chats(*this->own, {}, {})->size(), 12u);
  EXPECT_EQ(this->store->list_chats(*this->own, {"bob", "nobody"}, {})->size(), 4u);
  EXPECT_EQ(this->store->list_chats(*this->own, {"nobody", "bob"}, {.limit = 2, .after = "c6"})->size(), 2u);
  EXPECT_EQ(this->store->list_chats(*this->own, {"alice", "bob"}, {})->size(), 12u);
  EXPECT_EQ(this->store->list_chats(*this->own, {"bob"}, {.limit = 2, .after = "c6"})->size(), 2u);
  EXPECT_FAILS(StorageError::NotFound,
               this->store->list_chats(*this->own, {"bob"}, {.limit = 2, .after = "c1"}));
}

TYPED_TEST_P(StoreContract, VectorStoresAndAttachmentsLiveAndDie) {
  this->put("f1");
  this->put("f2");
  this->put_store("vs1");
  this->put_store("vs2");
  VectorStoreRecord changed = *this->store->get_vector_store(*this->own, store_id("vs1"));
  changed.name = "Renamed";
  changed.metadata_json = R"({"a":"b"})";
  changed.last_active = 77;
  changed.is_default = true;
  ASSERT_OK(this->store->put_vector_store(*this->own, changed));
  const auto read = this->store->get_vector_store(*this->own, store_id("vs1"));
  EXPECT_EQ(read->name, "Renamed");
  EXPECT_EQ(read->metadata_json, changed.metadata_json);
  EXPECT_EQ(read->last_active, 77);
  EXPECT_TRUE(read->is_default);

  this->attach("vs1", "f1", AttachmentStatus::InProgress);
  this->attach("vs1", "f2");
  this->attach("vs2", "f2");
  const std::vector both{store_id("vs1"), store_id("vs2")};
  const auto first = this->store->candidates(*this->own, both);
  ASSERT_EQ(first->size(), 1u) << "f1 is not complete, f2 counts once";
  EXPECT_EQ(first->front().file.str(), "f2");
  EXPECT_EQ(first->front().owner, "alice");
  EXPECT_EQ(first->front().access.groups, std::vector<std::string>{"hr"});
  AttachmentRecord done = *this->store->get_attachment(*this->own, store_id("vs1"), file_id("f1"));
  done.status = AttachmentStatus::Completed;
  done.chunks = 3;
  ASSERT_OK(this->store->put_attachment(*this->own, done));
  EXPECT_EQ(this->store->get_attachment(*this->own, store_id("vs1"), file_id("f1"))->chunks, 3u);
  EXPECT_EQ(this->store->candidates(*this->own, both)->size(), 2u);

  ASSERT_OK(this->store->delete_attachment(*this->own, store_id("vs1"), file_id("f1")));
  EXPECT_FAILS(StorageError::NotFound,
               this->store->delete_attachment(*this->own, store_id("vs1"), file_id("f1")));
  ASSERT_OK(this->store->delete_vector_store(*this->own, store_id("vs1")));
  EXPECT_FAILS(StorageError::NotFound, this->store->delete_vector_store(*this->own, store_id("vs1")));
  EXPECT_OK(this->store->get_file(*this->own, file_id("f1")));
  ASSERT_OK(this->store->delete_file(*this->own, file_id("f2")));
  EXPECT_TRUE(this->store->candidates(*this->own, both)->empty());
  AttachmentRecord orphan{.store = store_id("vs2"), .file = file_id("f2")};
  EXPECT_FAILS(StorageError::NotFound, this->store->put_attachment(*this->own, orphan));
  orphan = {.store = store_id("vs1"), .file = file_id("f1")};
  EXPECT_FAILS(StorageError::NotFound, this->store->put_attachment(*this->own, orphan));
}

TYPED_TEST_P(StoreContract, ChunksAreReplacedWholeAndFound) {
  this->put("f1");
  this->put("f2");
  const auto f1 = file_id("f1");
  const auto f2 = file_id("f2");
  EXPECT_FALSE(*this->store->has_chunks(*this->own, f1));
  ASSERT_OK(this->store->replace_chunks(*this->own, f1, sample_chunks("f1", 5), sample_vectors(5)));
  ASSERT_OK(
      this->store->replace_chunks(*this->own, f2, sample_chunks("f2", 3, "sabbatical"), sample_vectors(3)));
  EXPECT_TRUE(*this->store->has_chunks(*this->own, f1));
  const auto keys = keys_of(*this->store, *this->own, f1);
  ASSERT_EQ(keys.size(), 5u);
  const auto chunks = this->store->get_chunks(*this->own, {keys[3], keys[0]});
  ASSERT_OK(chunks);
  const Chunk wanted = sample_chunks("f1", 5)[3];
  EXPECT_EQ(chunks->at(0).file, f1);
  EXPECT_EQ(chunks->at(0).ordinal, 3u);
  EXPECT_EQ(chunks->at(0).text, wanted.text);
  EXPECT_EQ(chunks->at(0).heading, wanted.heading);
  EXPECT_EQ(chunks->at(0).page, wanted.page);
  EXPECT_EQ(chunks->at(0).begin, wanted.begin);
  EXPECT_EQ(chunks->at(0).end, wanted.end);
  EXPECT_EQ(chunks->at(0).tokens, wanted.tokens);
  EXPECT_EQ(chunks->at(1).ordinal, 0u);
  std::size_t vectors = 0;
  ASSERT_OK(
      this->store->for_each_vector(*this->own, [&](ChunkKey, const base::FileId&, const ChunkVectors& each) {
        ++vectors;
        ASSERT_EQ(each.size(), 1u);
        EXPECT_FALSE(each[0].space.known());
        EXPECT_EQ(each[0].vector.size(), 8u);
        EXPECT_EQ(std::count(each[0].vector.begin(), each[0].vector.end(), 1.0F), 1);
      }));
  EXPECT_EQ(vectors, 8u);

  const auto found = [&](std::vector<std::string> words, std::vector<base::FileId> files) {
    return this->store->search_text(*this->own, words, files, 50)->size();
  };
  EXPECT_EQ(found({"leave"}, {f1, f2}), 8u);
  EXPECT_EQ(found({"leaves"}, {f1}), 5u) << "stemmed";
  EXPECT_EQ(found({"sabbatical"}, {f1}), 0u) << "only the files asked for";
  EXPECT_EQ(found({"sabbatical"}, {f1, f2}), 3u);
  EXPECT_EQ(found({"leave"}, {}), 0u);
  EXPECT_EQ(this->store->search_text(*this->own, {"leave"}, {f1, f2}, 4)->size(), 4u);
  const auto ranked = this->store->search_text(*this->own, {"sabbatical", "leave"}, {f1, f2}, 50);
  EXPECT_GT(ranked->front().score, ranked->back().score) << "larger is better";

  ASSERT_OK(
      this->store->replace_chunks(*this->own, f1, sample_chunks("f1", 2, "maternity"), sample_vectors(2)));
  EXPECT_FAILS(StorageError::NotFound, this->store->get_chunks(*this->own, {keys[3]}));
  EXPECT_EQ(found({"parental"}, {f1, f2}), 0u);
  EXPECT_EQ(found({"maternity"}, {f1}), 2u);
  EXPECT_FAILS(
      StorageError::NotFound,
      this->store->replace_chunks(*this->own, file_id("none"), sample_chunks("none", 1), sample_vectors(1)));
  EXPECT_FALSE(this->store->replace_chunks(*this->own, f1, sample_chunks("f1", 2), sample_vectors(3)).ok());
  EXPECT_FALSE(this->store->replace_chunks(*this->own, f1, sample_chunks("f2", 2), sample_vectors(2)).ok());
  EXPECT_EQ(found({"maternity"}, {f1}), 2u) << "a refused batch leaves the old one";
  ASSERT_OK(this->store->delete_file(*this->own, f1));
  EXPECT_EQ(found({"maternity", "leave"}, {f1, f2}), 3u);
  EXPECT_TRUE(keys_of(*this->store, *this->own, f1).empty());
}

TYPED_TEST_P(StoreContract, HostileTextIsOnlyText) {
  const std::string nul("a\0b", 3);
  const std::vector<std::string> hostile = {"'; DROP TABLE files; --",
                                            "\" OR 1=1 --",
                                            "') UNION SELECT box FROM chunks --",
                                            nul,
                                            "%s%n%x",
                                            "\\",
                                            "a\nb\r\n",
                                            "Straße Ünïcödé 日本語 😀",
                                            "\xff\xfe not UTF-8",
                                            "",
                                            std::string(100'000, 'w'),
                                            "NEAR(a b)",
                                            "heading : x",
                                            "*",
                                            "^a AND NOT b",
                                            "{a b}: c"};
  this->put_store("vs1");
  int n = 0;
  for (const std::string& text : hostile) {
    const std::string id = "f" + std::to_string(n++);
    FileRecord file = sample_file(id);
    file.name = file.purpose = file.owner = file.content_type = file.status_detail = text;
    file.sha256 = text;
    ASSERT_OK(this->store->put_file(*this->own, file, text));
    const auto read = this->store->get_file(*this->own, file.id);
    ASSERT_OK(read);
    EXPECT_EQ(read->name, text);
    EXPECT_EQ(read->owner, text);
    EXPECT_EQ(read->status_detail, text);
    EXPECT_EQ(read->sha256, text);
    auto chunks = sample_chunks(id, 1);
    chunks[0].text = chunks[0].heading = text;
    ASSERT_OK(this->store->replace_chunks(*this->own, file.id, chunks, sample_vectors(1)));
    const auto keys = keys_of(*this->store, *this->own, file.id);
    const auto got = this->store->get_chunks(*this->own, keys);
    ASSERT_OK(got);
    EXPECT_EQ(got->at(0).text, text);
    EXPECT_EQ(got->at(0).heading, text);
    EXPECT_OK(this->store->search_text(*this->own, {text, text + "\"" + text}, {file.id}, 5));
    VectorStoreRecord record{.id = store_id("v" + id), .name = text, .owner = text};
    record.metadata_json = text;
    ASSERT_OK(this->store->put_vector_store(*this->own, record));
    EXPECT_EQ(this->store->get_vector_store(*this->own, record.id)->name, text);
    AttachmentRecord attachment{.store = record.id, .file = file.id};
    attachment.error_code = attachment.error_message = text;
    ASSERT_OK(this->store->put_attachment(*this->own, attachment));
    EXPECT_EQ(this->store->get_attachment(*this->own, record.id, file.id)->error_message, text);
    ChatRecord chat = this->chat("c" + id);
    chat.owner = chat.model = chat.metadata_json = chat.messages_json = chat.completion_json = text;
    ASSERT_OK(this->store->put_chat(*this->own, chat));
    EXPECT_EQ(this->store->get_chat(*this->own, chat.id)->messages_json, text);
    EXPECT_OK(this->store->list_chats(*this->own, {text}, {}));
    identity::ApiKeyRecord key{.id = key_id("k" + id), .name = text, .user = text};
    ASSERT_OK(this->store->put_api_key(*this->own, key));
  }
  EXPECT_EQ(this->store->list_files(*this->own, {.limit = 100})->size(), hostile.size());
  EXPECT_EQ(this->store->list_api_keys(*this->own)->size(), hostile.size());
}

TYPED_TEST_P(StoreContract, WordsAreFoundAcrossCaseAccentsAndScripts) {
  this->put("f1");
  auto chunks = sample_chunks("f1", 3);
  chunks[0].text = "Größe und Café résumé";
  chunks[1].text = "Dose 500mg twice; don't exceed 4g.";
  chunks[2].text = "отпуск сотрудника";
  ASSERT_OK(this->store->replace_chunks(*this->own, file_id("f1"), chunks, sample_vectors(3)));
  const auto count = [&](std::string word) {
    return this->store->search_text(*this->own, {word}, {file_id("f1")}, 9)->size();
  };
  EXPECT_EQ(count("CAFE"), 1u);
  EXPECT_EQ(count("Résumé,"), 1u);
  EXPECT_EQ(count("500mg?"), 1u);
  EXPECT_EQ(count("ОТПУСК"), 1u);
  EXPECT_EQ(count("the"), 0u);
  EXPECT_EQ(count("?!"), 0u);
}

TYPED_TEST_P(StoreContract, VersionsOnlyGrow) {
  std::uint64_t content = this->store->content_version();
  std::uint64_t vectors = this->store->vectors_version();
  const auto expect_moved = [&](const char* what, bool vectors_too) {
    EXPECT_GT(this->store->content_version(), content) << what;
    if (vectors_too) {
      EXPECT_GT(this->store->vectors_version(), vectors) << what;
    }
    content = this->store->content_version();
    vectors = this->store->vectors_version();
  };
  this->put("f1");
  expect_moved("put_file", false);
  this->put_store("vs1");
  this->attach("vs1", "f1");
  expect_moved("put_attachment", false);
  ASSERT_OK(
      this->store->replace_chunks(*this->own, file_id("f1"), sample_chunks("f1", 2), sample_vectors(2)));
  expect_moved("replace_chunks", true);
  ASSERT_OK(this->store->set_file_access(*this->own, file_id("f1"), {}));
  expect_moved("set_file_access", false);
  ASSERT_OK(this->store->delete_attachment(*this->own, store_id("vs1"), file_id("f1")));
  expect_moved("delete_attachment", false);
  ASSERT_OK(this->store->delete_vector_store(*this->own, store_id("vs1")));
  expect_moved("delete_vector_store", false);
  ASSERT_OK(this->store->delete_file(*this->own, file_id("f1")));
  expect_moved("delete_file", true);
  this->store.reset();
  this->store = this->backend.reopened("hospital");
  EXPECT_GE(this->store->content_version(), content) << "re-opening never goes back";
  EXPECT_GE(this->store->vectors_version(), vectors);
}

TYPED_TEST_P(StoreContract, ApiKeysAreKeptAndRevoked) {
  identity::ApiKeyRecord key{.id = key_id("k1"), .name = "CI", .user = "robot"};
  key.roles = {"member", "auditor"};
  key.groups = {"hr"};
  key.created = 5;
  key.expires = 9;
  key.keyed_hash.fill(0xab);
  ASSERT_OK(this->store->put_api_key(*this->own, key));
  const auto keys = this->store->list_api_keys(*this->own);
  ASSERT_EQ(keys->size(), 1u);
  EXPECT_EQ(keys->front().roles, key.roles);
  EXPECT_EQ(keys->front().groups, key.groups);
  EXPECT_EQ(keys->front().user, "robot");
  EXPECT_EQ(keys->front().expires, 9);
  EXPECT_EQ(keys->front().keyed_hash, key.keyed_hash);
  EXPECT_FALSE(keys->front().revoked);
  ASSERT_OK(this->store->revoke_api_key(*this->own, key.id));
  EXPECT_TRUE(this->store->list_api_keys(*this->own)->front().revoked);
  EXPECT_FAILS(StorageError::NotFound, this->store->revoke_api_key(*this->own, key_id("none")));
  ASSERT_OK(this->store->delete_api_key(*this->own, key.id));
  EXPECT_TRUE(this->store->list_api_keys(*this->own)->empty());
  EXPECT_FAILS(StorageError::NotFound, this->store->delete_api_key(*this->own, key.id));
}

TYPED_TEST_P(StoreContract, Aisvs_8_3_1_ExpiredChatsAreNeverGivenOut) {
  const std::int64_t now = this->backend.now();
  ChatRecord chat = this->chat("c1");
  chat.expires = now + 10;
  ASSERT_OK(this->store->put_chat(*this->own, chat));
  chat = this->chat("c2");
  chat.expires = now - 10;
  ASSERT_OK(this->store->put_chat(*this->own, chat));
  EXPECT_OK(this->store->get_chat(*this->own, chat_id("c1")));
  EXPECT_FAILS(StorageError::NotFound, this->store->get_chat(*this->own, chat_id("c2")));
  EXPECT_EQ(this->store->list_chats(*this->own, {}, {})->size(), 1u);
  EXPECT_TRUE(this->store->list_chats(*this->own, {}, {})->front().messages_json.empty());
  EXPECT_EQ(*this->store->delete_expired_chats(*this->own, now), 1u);
  EXPECT_EQ(*this->store->delete_expired_chats(*this->own, now + 11), 1u);
  EXPECT_FAILS(StorageError::NotFound, this->store->delete_chat(*this->own, chat_id("c1")));
}

TYPED_TEST_P(StoreContract, VectorsOfASecondSpaceComeBesideAndTheFirstGo) {
  const auto f1 = file_id("f1");
  const auto& own = *this->own;
  this->put("f1");
  ASSERT_OK(this->store->replace_chunks(own, f1, sample_chunks("f1", 300),
                                        sample_vectors(300, 8, sample_space(2))));
  const auto keys = keys_of(*this->store, own, f1);
  auto chunks = must(this->store->file_chunks(own, f1));
  ASSERT_EQ(chunks.vectors.size(), 300u);
  EXPECT_NE(chunks.batch, 0);
  const auto second = sample_vectors(300, 16, sample_space(1));
  auto both = chunks.vectors;
  for (std::size_t i = 0; i < both.size(); ++i) both[i].insert(both[i].begin(), second[i][0]);

  const std::uint64_t version = this->store->vectors_version();
  ASSERT_OK(this->store->put_vectors(own, f1, chunks.batch, both));
  EXPECT_GT(this->store->vectors_version(), version) << "an index that is kept is read anew";
  EXPECT_EQ(must(this->store->file_chunks(own, f1)).vectors, both);
  EXPECT_EQ(keys_of(*this->store, own, f1), keys) << "the chunks are the same";
  EXPECT_EQ(this->store->search_text(own, {"parental"}, {f1}, 500)->size(), 300u);
  std::size_t seen = 0;
  ASSERT_OK(this->store->for_each_vector(
      own, [&](ChunkKey, const base::FileId&, const ChunkVectors& each) { EXPECT_EQ(each, both[seen++]); }));
  EXPECT_EQ(seen, 300u);
  this->store.reset();
  this->store = this->backend.reopened("hospital");
  EXPECT_EQ(must(this->store->file_chunks(own, f1)).vectors, both);
  ASSERT_OK(this->store->put_vectors(own, f1, chunks.batch, second));
  EXPECT_EQ(must(this->store->file_chunks(own, f1)).vectors, second);

  auto unsorted = both;
  for (auto& each : unsorted) std::swap(each[0], each[1]);
  EXPECT_FALSE(this->store->put_vectors(own, f1, chunks.batch, unsorted).ok());
  auto uneven = both;
  uneven[7].pop_back();
  EXPECT_FALSE(this->store->put_vectors(own, f1, chunks.batch, uneven).ok());
  EXPECT_FALSE(this->store->put_vectors(own, f1, chunks.batch, sample_vectors(299, 8, sample_space(3))).ok());
  EXPECT_EQ(must(this->store->file_chunks(own, f1)).vectors, second) << "what is refused changes nothing";
  // Made for chunks that are gone.
  ASSERT_OK(this->store->replace_chunks(own, f1, sample_chunks("f1", 300), sample_vectors(300)));
  EXPECT_FAILS(StorageError::Busy, this->store->put_vectors(own, f1, chunks.batch, second));
  EXPECT_EQ(must(this->store->file_chunks(own, f1)).vectors, sample_vectors(300));
  ASSERT_OK(this->store->replace_chunks(own, f1, {}, {}));
  EXPECT_FAILS(StorageError::Busy, this->store->put_vectors(own, f1, 0, {}));
  EXPECT_FAILS(StorageError::NotFound, this->store->put_vectors(own, file_id("none"), 1, second));
}

REGISTER_TYPED_TEST_SUITE_P(StoreContract, EveryMemberRefusesAnotherTenantsScope,
                            EveryMemberRefusesADeadScope, FilesComeBackAsTheyWere, AnIdIsNeverTakenOver,
                            QuotaIsEnforcedAndGivenBack, EverythingThatIsKeptIsCounted,
                            WhatIsNoOriginalMeetsTheQuotaToo, NumbersOfObjectsAreBounded,
                            WritersAtOnceAreCountedOnce, ListsAreCompleteInOrderAndBounded,
                            VectorStoresAndAttachmentsLiveAndDie, ChunksAreReplacedWholeAndFound,
                            HostileTextIsOnlyText, WordsAreFoundAcrossCaseAccentsAndScripts, VersionsOnlyGrow,
                            ApiKeysAreKeptAndRevoked, VectorsOfASecondSpaceComeBesideAndTheFirstGo,
                            Aisvs_8_3_1_ExpiredChatsAreNeverGivenOut);

}  // namespace bulkhead::storage
