// What every backend of TenantStore must do when its tenant's keys are renewed; plugged in as
// store_contract.h says.
#pragma once

#include <atomic>
#include <thread>

#include "storage/upkeep.h"
#include "store_contract.h"

namespace bulkhead::storage {

template <typename Backend>
class StoreRotationContract : public StoreContract<Backend> {
 protected:
  // One of everything that is sealed, large enough to be moved in more than one step.
  static std::string large_content() { return std::string(5'000'000, 'x') + "tail"; }
  void fill_for_rotation() {
    this->put("f1", 1'800'000'000, large_content());
    this->put("f2");
    ASSERT_OK(
        this->store->set_file_status(*this->own, file_id("f2"), FileStatus::Failed, "unreadable page 7"));
    this->put_store("vs1", true);
    AttachmentRecord attachment{.store = store_id("vs1"), .file = file_id("f1")};
    attachment.status = AttachmentStatus::Completed;
    attachment.error_message = "said once";
    ASSERT_OK(this->store->put_attachment(*this->own, attachment));
    ASSERT_OK(this->store->replace_chunks(*this->own, file_id("f1"), sample_chunks("f1", 300),
                                          sample_vectors(300)));
    identity::ApiKeyRecord key{.id = key_id("k1"), .name = "CI", .user = "robot"};
    ASSERT_OK(this->store->put_api_key(*this->own, key));
    for (const char* id : {"c1", "c2", "c3"}) ASSERT_OK(this->store->put_chat(*this->own, this->chat(id)));
    for (int i = 0; i < 130; ++i) {
      ChatRecord other = this->chat("other" + std::to_string(i));
      other.owner = "bob";
      ASSERT_OK(this->store->put_chat(*this->own, other));
    }
  }
  void expect_all_after_rotation() {
    EXPECT_TRUE(must(this->store->file_content(*this->own, file_id("f1"))) == large_content());
    EXPECT_EQ(must(this->store->get_file(*this->own, file_id("f2"))).status_detail, "unreadable page 7");
    EXPECT_EQ(must(this->store->list_files(*this->own, {})).size(), 2u);
    EXPECT_EQ(must(this->store->get_vector_store(*this->own, store_id("vs1"))).owner, "alice");
    EXPECT_EQ(must(this->store->get_attachment(*this->own, store_id("vs1"), file_id("f1"))).error_message,
              "said once");
    EXPECT_EQ(must(this->store->candidates(*this->own, {store_id("vs1")})).size(), 1u);
    const auto found = keys_of(*this->store, *this->own, file_id("f1"));
    ASSERT_EQ(found.size(), 300u);
    EXPECT_EQ(must(this->store->get_chunks(*this->own, {found[299]})).at(0).text,
              "Piece 299 about parental leave.");
    EXPECT_EQ(must(this->store->search_text(*this->own, {"parental"}, {file_id("f1")}, 999)).size(), 300u);
    EXPECT_EQ(must(this->store->list_api_keys(*this->own)).at(0).user, "robot");
    EXPECT_EQ(must(this->store->list_chats(*this->own, {"alice"}, {})).size(), 3u);
    EXPECT_EQ(must(this->store->get_chat(*this->own, chat_id("c2"))).completion_json, R"({"id":"x"})");
  }
  std::vector<std::string> data_key_ids() {
    std::vector<std::string> ids;
    for (const char* subject : {"file/f1", "file/f2", "vector_store/vs1", "chat/c1"}) {
      ids.push_back(must(this->store->data_key_id(*this->own, subject)));
    }
    return ids;
  }
};

TYPED_TEST_SUITE_P(StoreRotationContract);

const tenancy::RotationOrder kEveryKey{.tenant_key = true,
                                       .purposes = {crypto::Purpose::Database, crypto::Purpose::RecordSeal}};

TYPED_TEST_P(StoreRotationContract, MovesEverythingToTheNewKeys) {
  this->fill_for_rotation();
  const auto before = this->data_key_ids();
  auto& deployment = this->backend.deployment();
  Upkeep upkeep(*deployment.manager, *deployment.directory);
  for (int round = 0; round < 2; ++round) {
    const base::Secret seal = this->own->key(crypto::Purpose::RecordSeal).clone();
    const base::Secret database = this->own->key(crypto::Purpose::Database).clone();
    ASSERT_OK(upkeep.rotate(tenant_id("hospital"), kEveryKey));
    this->expect_all_after_rotation();  // under the older keys still, mostly
    EXPECT_EQ(upkeep.run_once([] { return false; }).size(), 1u);
    EXPECT_TRUE(deployment.directory->keyring().rotating().empty());
    EXPECT_EQ(this->own->key_versions(crypto::Purpose::RecordSeal).size(), 1u);
    EXPECT_FALSE(this->own->key(crypto::Purpose::RecordSeal) == seal);
    EXPECT_FALSE(this->own->key(crypto::Purpose::Database) == database);
    this->expect_all_after_rotation();
  }
  const auto after = this->data_key_ids();
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_NE(before[i], after[i]);
  this->store = this->backend.reopened("hospital");
  this->own.emplace(this->backend.scope("hospital"));
  this->expect_all_after_rotation();
  EXPECT_TRUE(deployment.manager->take_upkeep().empty()) << "nothing is left to move";
}

TYPED_TEST_P(StoreRotationContract, GoesOnAfterAStopAtEveryStep) {
  this->fill_for_rotation();
  auto& deployment = this->backend.deployment();
  {
    Upkeep upkeep(*deployment.manager, *deployment.directory);
    ASSERT_OK(upkeep.rotate(tenant_id("hospital"), kEveryKey));
  }
  int rounds = 0;
  for (; !deployment.directory->keyring().rotating().empty() && rounds < 50; ++rounds) {
    Upkeep upkeep(*deployment.manager, *deployment.directory);
    // Asked before the tenant, before each step and after: one step a round.
    (void)upkeep.run_once([left = 2]() mutable { return left-- <= 0; });
    this->store = this->backend.reopened("hospital");
    this->own.emplace(this->backend.scope("hospital"));
    this->expect_all_after_rotation();
  }
  EXPECT_GE(rounds, 4) << "136 subjects, 64 at once";
  EXPECT_LT(rounds, 50);
}

TYPED_TEST_P(StoreRotationContract, RequestsGoOnMeanwhile) {
  this->fill_for_rotation();
  auto& deployment = this->backend.deployment();
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      for (int n = 0; !done; ++n) {
        const std::string id = "t" + std::to_string(t) + "-" + std::to_string(n);
        EXPECT_OK(this->store->put_file(*this->own, sample_file(id), "text of " + id));
        EXPECT_OK(this->store->set_file_status(*this->own, file_id(id), FileStatus::Processed, "done"));
        EXPECT_OK(this->store->put_chat(*this->own, this->chat(id)));
        EXPECT_OK(this->store->put_attachment(*this->own, {.store = store_id("vs1"), .file = file_id(id)}));
        EXPECT_EQ(must(this->store->file_content(*this->own, file_id(id))), "text of " + id);
        EXPECT_OK(this->store->get_attachment(*this->own, store_id("vs1"), file_id(id)));
        EXPECT_OK(this->store->list_files(*this->own, {}));
        EXPECT_OK(this->store->delete_chat(*this->own, chat_id(id)));
        EXPECT_OK(this->store->delete_file(*this->own, file_id(id)));
      }
    });
  }
  Upkeep upkeep(*deployment.manager, *deployment.directory);
  for (int round = 0; round < 3; ++round) {
    EXPECT_OK(upkeep.rotate(tenant_id("hospital"), kEveryKey));
    for (int tries = 0; !deployment.directory->keyring().rotating().empty() && tries < 100; ++tries) {
      (void)upkeep.run_once([] { return false; });
    }
    EXPECT_TRUE(deployment.directory->keyring().rotating().empty());
  }
  done = true;
  for (auto& thread : threads) thread.join();
  this->store = this->backend.reopened("hospital");
  EXPECT_TRUE(must(this->store->file_content(*this->own, file_id("f1"))) == this->large_content());
}

REGISTER_TYPED_TEST_SUITE_P(StoreRotationContract, MovesEverythingToTheNewKeys, GoesOnAfterAStopAtEveryStep,
                            RequestsGoOnMeanwhile);

}  // namespace bulkhead::storage
