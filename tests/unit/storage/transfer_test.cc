// Subjects: one form in bytes whatever backend they come from, and copies that are equal by digest.
#include "storage/transfer.h"

#include "copies.h"

namespace bulkhead::storage {
namespace {

template <typename Place>
class Transfer : public ::testing::Test {
 protected:
  void SetUp() override { fill_with_everything(*place.platform.store("a"), place.platform.scope("a")); }
  Place place;
};
TYPED_TEST_SUITE(Transfer, AllPlaces);

// From the embedded store to each backend and back again.
TYPED_TEST(Transfer, ACopyHoldsTheSameInTheSameOrder) {
  EmbeddedPlace back;
  TestPlatform& platform = this->place.platform;
  const auto from = platform.store("a");
  const auto scope = platform.scope("a");
  const auto to = back.platform.store("a");
  const auto back_scope = back.platform.scope("a");
  EmbeddedPlace reference;
  fill_with_everything(*reference.platform.store("a"), reference.platform.scope("a"));
  EXPECT_EQ(contents_of(*from, scope), contents_of(reference.platform, "a")) << "whatever the backend";
  // Twice: what is there already is brought up to date.
  for (int round = 0; round < 2; ++round) {
    for (const std::string& name : must(list_subjects(*from, scope))) {
      ASSERT_OK(write_subject(*to, back_scope, *must(read_subject(*from, scope, name))));
    }
    EXPECT_EQ(contents_of(*to, back_scope), contents_of(*from, scope));
  }
  EXPECT_EQ(must(to->search_text(back_scope, {"zqpassage"}, {file_id("f2")}, 99)).size(), 7u);
  EXPECT_EQ(must(to->usage(back_scope)).files, must(from->usage(scope)).files);
  EXPECT_EQ(must(to->usage(back_scope)), must(to->recount_usage(back_scope)));
  EXPECT_EQ(must(list_subjects(*from, scope)).size(), 4u + 2 + 3 + 2);
}

TYPED_TEST(Transfer, AChangeOfAnyPartChangesTheDigestAndIsBroughtOver) {
  TestPlatform& platform = this->place.platform;
  const auto store = platform.store("a");
  const auto scope = platform.scope("a");
  EmbeddedPlace back;
  const auto to = back.platform.store("a");
  const auto back_scope = back.platform.scope("a");
  std::set<std::string> seen;
  const auto expect_new = [&](const std::string& name, const char* what) {
    const auto subject = must(read_subject(*store, scope, name));
    ASSERT_TRUE(subject.has_value()) << what;
    EXPECT_TRUE(seen.insert(base::hex_encode(digest_of(*subject))).second) << what;
    for (const std::string& each : must(list_subjects(*store, scope))) {
      ASSERT_OK(write_subject(*to, back_scope, *must(read_subject(*store, scope, each))));
    }
    const auto copy = must(read_subject(*to, back_scope, name));
    EXPECT_EQ(digest_of(*copy), digest_of(*subject)) << what;
  };
  expect_new("file/f2", "as it was");
  ASSERT_OK(store->set_file_status(scope, file_id("f2"), FileStatus::Failed, "why"));
  expect_new("file/f2", "status");
  ASSERT_OK(store->set_file_access(scope, file_id("f2"), {.users = {"carol"}}));
  expect_new("file/f2", "access list");
  ASSERT_OK(store->replace_chunks(scope, file_id("f2"), sample_chunks("f2", 3, "other"), sample_vectors(3)));
  expect_new("file/f2", "passages");
  ASSERT_OK(
      store->replace_chunks(scope, file_id("f2"), sample_chunks("f2", 3, "other"), sample_vectors(3, 16)));
  expect_new("file/f2", "vectors");
  expect_new("vector_store/v1", "as it was");
  ASSERT_OK(store->delete_attachment(scope, store_id("v1"), file_id("f0")));
  expect_new("vector_store/v1", "one file less");
  AttachmentRecord again{.store = store_id("v1"), .file = file_id("f0")};
  again.created = 99;
  ASSERT_OK(store->put_attachment(scope, again));
  expect_new("vector_store/v1", "attached again");
  expect_new("api_key/k0", "as it was");
  ASSERT_OK(store->revoke_api_key(scope, key_id("k0")));
  expect_new("api_key/k0", "revoked");
}

TYPED_TEST(Transfer, WhatIsGoneIsNothingAndIsRemoved) {
  TestPlatform& platform = this->place.platform;
  const auto store = platform.store("a");
  const auto scope = platform.scope("a");
  for (const char* name : {"file/none", "vector_store/none", "chat/none", "api_key/none"}) {
    EXPECT_FALSE(must(read_subject(*store, scope, name)).has_value()) << name;
    EXPECT_OK(remove_subject(*store, scope, name)) << name;
  }
  for (const char* name : {"", "file", "file/", "nonsense/f1", "file/../f1", "file/f1/x"}) {
    EXPECT_FALSE(read_subject(*store, scope, name).ok()) << name;
    EXPECT_FALSE(remove_subject(*store, scope, name).ok()) << name;
  }
  for (const std::string& name : must(list_subjects(*store, scope)))
    ASSERT_OK(remove_subject(*store, scope, name));
  EXPECT_TRUE(must(list_subjects(*store, scope)).empty());
  EXPECT_EQ(must(store->usage(scope)), Usage());
}

TEST(Subjects, TheirFormIsReadBackAndNothingElseIs) {
  EmbeddedPlace place;
  const auto store = place.platform.store("a");
  const auto scope = place.platform.scope("a");
  fill_with_everything(*store, scope);
  for (const std::string& name : must(list_subjects(*store, scope))) {
    const auto subject = must(read_subject(*store, scope, name));
    std::string form;
    encode_subject(*subject, [&](base::ByteView piece) { form.append(base::as_text(piece)); });
    EXPECT_EQ(form.size(), encoded_bytes(*subject));
    EXPECT_EQ(crypto::sha256(form), digest_of(*subject));
    const auto back = must(decode_subject(form));
    EXPECT_EQ(subject_name(back), name);
    EXPECT_EQ(digest_of(back), digest_of(*subject));
    for (std::size_t cut = 0; cut < form.size(); cut += 1 + form.size() / 50) {
      EXPECT_FALSE(decode_subject(form.substr(0, cut)).ok()) << name << " cut at " << cut;
    }
    EXPECT_FALSE(decode_subject(form + "x").ok());
    EXPECT_FALSE(decode_subject(form + form).ok());
  }
}

// A copy is made although the tenant may store no more by now.
TEST(Subjects, ACopyIsNotStoppedByTheQuota) {
  EmbeddedPlace place;
  place.platform.add_tenant("small", 1 << 20);
  const auto scope = place.platform.scope("small");
  const auto store = place.platform.store("small");
  FileSubject file{.record = sample_file("big"), .content = std::string(2 << 20, 'x'), .chunks = {}};
  file.record.bytes = file.content.size();
  EXPECT_FAILS(StorageError::QuotaExceeded, write_subject(*store, scope, file)) << "control: as a user";
  Upkeep upkeep(*place.platform.manager, *place.platform.directory);
  EXPECT_OK(write_subject(*store, must(upkeep.scope(tenant_id("small"))), file));
}

}  // namespace
}  // namespace bulkhead::storage
