#include "crypto/hash.h"
#include "support.h"

namespace bulkhead::tenancy {
namespace {

using State = identity::TenantStatus::State;

std::string text_of(const base::json::Document& document, std::string_view member) {
  return std::string(document.root()[member].as_string().value_or(""));
}

TEST_F(DirectoryTest, DestroyingTakesTheKeyFirstThenTheFilesThenSigns) {
  create("acme");
  TenantScope scope = open("acme");
  crypto::Digest wrapped = crypto::sha256(base::ByteView(registry.tenants.at("acme").wrapped_key.box));
  bool key_gone_before_files = false;
  eraser.on_erase = [&] {
    const StoredTenant& durable = registry.tenants.at("acme");
    key_gone_before_files =
        durable.wrapped_key.box.empty() && durable.tenant.state == TenantState::Destroyed && !scope.alive();
  };
  auto certificate = directory->destroy(tenant_id("acme"), eraser, signer);
  ASSERT_TRUE(certificate.ok()) << certificate.error().describe();
  EXPECT_TRUE(key_gone_before_files);
  EXPECT_EQ(eraser.steps, (std::vector<std::string>{"close acme", "erase acme"}));
  EXPECT_EQ(directory->state_of("acme"), State::Unknown);
  EXPECT_EQ(directory->find(tenant_id("acme"))->state, TenantState::Destroyed);
  EXPECT_TRUE(fails_with(TenancyError::UnknownTenant, directory->open(test::principal("acme"))));
  EXPECT_TRUE(fails_with(TenancyError::UnknownTenant, directory->resume(tenant_id("acme"))));
  EXPECT_TRUE(fails_with(TenancyError::UnknownTenant, directory->suspend(tenant_id("acme"), "")));
  EXPECT_TRUE(fails_with(TenancyError::UnknownTenant, directory->set_policy(tenant_id("acme"), {})));

  auto document = base::json::Document::parse(certificate->json);
  ASSERT_TRUE(document.ok()) << certificate->json;
  EXPECT_EQ(text_of(*document, "tenant"), "acme");
  EXPECT_EQ(text_of(*document, "standard"), "NIST SP 800-88r2");
  EXPECT_EQ(text_of(*document, "destroyed_at"), base::rfc3339(clock.wall()));
  EXPECT_EQ(text_of(*document, "key_id"), base::hex_encode(base::ByteView(wrapped).first(16)));
  EXPECT_EQ(text_of(*document, "signed_by"), signer.verify_key().id());
  EXPECT_EQ(text_of(*document, "key"), signer.verify_key().base64url());
  EXPECT_EQ(document->root()["removed_files"].at(0).as_string(), "tenants/acme/store.db");
  EXPECT_EQ(document->root()["removed_bytes"].as_int(), 4096);
  EXPECT_FALSE(text_of(*document, "verification").empty());
  EXPECT_FALSE(text_of(*document, "method").empty());
}

TEST_F(DirectoryTest, AnyAlteredByteOfACertificateIsNoticed) {
  create("acme");
  auto certificate = directory->destroy(tenant_id("acme"), eraser, signer);
  ASSERT_TRUE(certificate.ok());
  const crypto::VerifyKey key = signer.verify_key();
  ASSERT_TRUE(verify_certificate(certificate->json, key).ok()) << "control";
  EXPECT_TRUE(verify_certificate(certificate->json + "\n", key).ok()) << "a file's last line may end";
  EXPECT_FALSE(verify_certificate(certificate->json, crypto::SigningKey::generate().verify_key()).ok());
  for (std::size_t i = 0; i < certificate->json.size(); ++i) {
    std::string altered = certificate->json;
    altered[i] = static_cast<char>(altered[i] ^ 0x01);
    EXPECT_FALSE(verify_certificate(altered, key).ok()) << "byte " << i;
    altered = certificate->json;
    altered.erase(i, 1);
    EXPECT_FALSE(verify_certificate(altered, key).ok()) << "without byte " << i;
    EXPECT_FALSE(verify_certificate(certificate->json.substr(0, i), key).ok()) << "cut at " << i;
  }
  for (std::string_view text : {"", "{}", "null", ",\"signature\":\"\"}", "\"}", "{\"signature\":\"AA\"}"}) {
    EXPECT_FALSE(verify_certificate(text, key).ok()) << text;
  }
}

// The power fails between the key's removal and the files': the tenant is unreadable already, and
// destroying it once more finishes the work.
TEST_F(DirectoryTest, DestructionIsFinishedAfterACrash) {
  create("acme");
  eraser.fails = true;
  EXPECT_TRUE(fails_with(TenancyError::Busy, directory->destroy(tenant_id("acme"), eraser, signer)));
  EXPECT_TRUE(registry.tenants.at("acme").wrapped_key.box.empty());

  directory = open_directory();
  EXPECT_EQ(directory->state_of("acme"), State::Unknown);
  EXPECT_TRUE(fails_with(TenancyError::UnknownTenant, directory->open(test::principal("acme"))));
  NotingEraser second;
  auto certificate = directory->destroy(tenant_id("acme"), second, signer);
  ASSERT_TRUE(certificate.ok());
  EXPECT_EQ(second.steps, (std::vector<std::string>{"close acme", "erase acme"}));
  ASSERT_TRUE(verify_certificate(certificate->json, signer.verify_key()).ok());
  auto document = base::json::Document::parse(certificate->json);
  ASSERT_TRUE(document.ok());
  EXPECT_TRUE(document->root()["key_id"].is_null()) << "no invented key id";
  EXPECT_NE(text_of(*document, "note"), "");
}

// A registry that says "done" and keeps the key: no certificate.
TEST_F(DirectoryTest, NothingIsCertifiedThatWasNotSeen) {
  create("acme");
  registry.forgets_updates = true;
  EXPECT_TRUE(fails_with(TenancyError::Registry, directory->destroy(tenant_id("acme"), eraser, signer)));
  registry.forgets_updates = false;
  EXPECT_TRUE(directory->destroy(tenant_id("acme"), eraser, signer).ok()) << "control";
}

// Crypto-erase proper: what was sealed can't be opened by the platform's keys any more.
TEST_F(DirectoryTest, ADestroyedTenantsRecordsCannotBeOpened) {
  create("acme");
  base::Bytes box;
  const base::ByteView identity = base::as_bytes("record/1");
  {
    TenantScope scope = open("acme");
    box = crypto::seal(scope.key(crypto::Purpose::RecordSeal), base::as_bytes("the record"), identity);
  }
  {
    TenantScope scope = open("acme");
    EXPECT_TRUE(crypto::open(scope.key(crypto::Purpose::RecordSeal), box, identity).ok()) << "control";
  }
  ASSERT_TRUE(directory->destroy(tenant_id("acme"), eraser, signer).ok());
  for (const auto& [name, stored] : registry.tenants) {
    EXPECT_FALSE(keys->unwrap(stored.wrapped_key, "tenant/" + name).ok());
  }
  create("acme-2");
  TenantScope successor = open("acme-2");
  EXPECT_FALSE(crypto::open(successor.key(crypto::Purpose::RecordSeal), box, identity).ok());
}

TEST(Policy, JsonRoundTripAndRefusals) {
  TenantPolicy policy;
  policy.retrieval = RetrievalMode::Required;
  policy.keep_chats = true;
  policy.system_prompt = "Answer \"briefly\".\n";
  policy.limits.tokens_per_minute = 7;
  auto parse = [](std::string_view text) {
    auto document = base::json::Document::parse(text);
    EXPECT_TRUE(document.ok()) << text;
    return TenantPolicy::from_json(document->root());
  };
  auto back = parse(policy.to_json());
  ASSERT_TRUE(back.ok()) << back.error().describe();
  EXPECT_EQ(back->to_json(), policy.to_json());
  EXPECT_TRUE(parse("{}").ok()) << "control: all members have defaults";
  for (std::string_view text :
       {R"({"keep_chat":true})", R"({"keep_chats":"yes"})", R"({"retrieval":"always"})", R"({"retrieval":3})",
        R"({"relevance_threshold":1.5})", R"({"relevance_threshold":"0"})", R"({"kept_chat_days":0})",
        R"({"kept_chat_days":-1})", R"({"kept_chat_days":1.5})", R"({"limits":[]})",
        R"({"limits":{"requests_per_minute":0}})", R"({"limits":{"rpm":1}})", R"([])", R"("x")",
        R"({"KEEP_CHATS":true})", R"({"allow_logprobs":null})"}) {
    EXPECT_TRUE(fails_with(TenancyError::BadPolicy, parse(text))) << text;
  }
}

}  // namespace
}  // namespace bulkhead::tenancy
