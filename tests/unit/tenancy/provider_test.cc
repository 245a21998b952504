// A tenant's key that another provider wraps: withdrawn, it ends all access within the keys' lifetime.
#include "crypto/aead.h"
#include "crypto/key_provider.h"
#include "crypto/random.h"
#include "support.h"

namespace bulkhead::tenancy {
namespace {

// A key-encryption key that can be deleted and put out of reach, as one in a token can.
class Vault final : public crypto::KeyProvider {
 public:
  std::string describe() const override { return "vault"; }
  base::Result<base::Bytes> wrap(const base::Secret& key, std::string_view associated) override {
    if (!reachable) return base::Error(crypto::KeyProviderError::Unavailable, "The vault does not answer.");
    return crypto::seal(kek_, key.reveal(), base::as_bytes(associated));
  }
  base::Result<base::Secret> unwrap(base::ByteView box, std::string_view associated) override {
    ++asked;
    if (!reachable) return base::Error(crypto::KeyProviderError::Unavailable, "The vault does not answer.");
    if (deleted) return base::Error(crypto::KeyProviderError::Revoked, "The key is gone.");
    return crypto::open_secret(kek_, box, base::as_bytes(associated));
  }
  bool reachable = true, deleted = false;
  int asked = 0;

 private:
  base::Secret kek_ = crypto::random_secret(crypto::kAeadKeyBytes);
};

class ProviderTest : public DirectoryTest {
 protected:
  void SetUp() override {
    DirectoryTest::SetUp();
    directory->keyring().add_provider("vault", vault);
    directory->keyring().set_lifetime(std::chrono::seconds(60));
    directory->keyring().on_lost([this](const base::TenantId& id, const base::Error& why) {
      lost.push_back(id.str());
      reasons.emplace_back(why.name().code);
    });
    directory->keyring().on_returned([this](const base::TenantId& id) { returned.push_back(id.str()); });
    create("acme");
    create("bolt");
    ASSERT_TRUE(
        directory->keyring().begin_rotation(id("acme"), {.tenant_key = true, .provider = "vault"}).ok());
  }
  static base::TenantId id(const char* name) { return *base::TenantId::parse(name); }
  std::shared_ptr<Vault> vault = std::make_shared<Vault>();
  std::vector<std::string> lost, reasons, returned;
};

TEST_F(ProviderTest, ItsKeyOpensTheTenantAndThePlatformsDoesNot) {
  const base::Secret before = open("acme").key(crypto::Purpose::RecordSeal).clone();
  EXPECT_EQ(directory->keyring().status(id("acme"))->provider, "vault");
  EXPECT_EQ(registry.tenants.at("acme").provider, "vault");
  auto fresh = open_directory();
  EXPECT_TRUE(fails_with(TenancyError::KeyUnavailable, fresh->open(test::principal("acme"))))
      << "without the provider there is no key";
  fresh->keyring().add_provider("vault", vault);
  clock.advance(std::chrono::seconds(1));
  auto scope = fresh->open(test::principal("acme"));
  ASSERT_TRUE(scope.ok());
  EXPECT_TRUE(scope->key(crypto::Purpose::RecordSeal) == before);
  EXPECT_TRUE(fails_with(
      TenancyError::KeyUnavailable,
      directory->keyring().begin_rotation(id("bolt"), {.tenant_key = true, .provider = "no-such"})));
}

TEST_F(ProviderTest, ARevokedKeyCutsTheTenantAtTheNextAskingAndNobodyElse) {
  TenantScope acme = open("acme"), bolt = open("bolt");
  vault->deleted = true;
  EXPECT_TRUE(acme.alive()) << "control: until it is asked again";
  clock.advance(std::chrono::seconds(20));
  directory->keyring().refresh("vault");
  EXPECT_FALSE(acme.alive());
  EXPECT_TRUE(acme.cancel_token().cancelled());
  EXPECT_EQ(lost, std::vector<std::string>{"acme"});
  EXPECT_TRUE(fails_with(TenancyError::KeyRevoked, directory->open(test::principal("acme"))));
  EXPECT_TRUE(bolt.alive());
  EXPECT_TRUE(directory->open(test::principal("bolt")).ok());
}

TEST_F(ProviderTest, WhoeverCantBeAskedHasUntilTheLifetimeEnds) {
  TenantScope acme = open("acme");
  vault->reachable = false;
  clock.advance(std::chrono::seconds(40));
  directory->keyring().refresh("vault");
  EXPECT_TRUE(acme.alive());
  EXPECT_TRUE(directory->open(test::principal("acme")).ok());
  clock.advance(std::chrono::seconds(21));
  // Also when nobody asks, as with a token that hangs.
  EXPECT_FALSE(acme.alive());
  EXPECT_TRUE(fails_with(TenancyError::KeyUnavailable, directory->open(test::principal("acme"))));
  vault->reachable = true;
  clock.advance(std::chrono::seconds(1));
  EXPECT_TRUE(directory->open(test::principal("acme")).ok()) << "back again";
}

TEST_F(ProviderTest, ALifetimeThatEndsCutsTheTenantThoughNobodyIsAsked) {
  TenantScope acme = open("acme"), bolt = open("bolt");
  EXPECT_EQ(directory->keyring().lose_expired(), std::chrono::seconds(60)) << "that is when it ends";
  vault->reachable = false;
  clock.advance(std::chrono::seconds(59));
  EXPECT_EQ(directory->keyring().lose_expired(), std::chrono::seconds(1));
  EXPECT_FALSE(acme.cancel_token().cancelled()) << "control: its lifetime goes on";
  const int asked = vault->asked;
  clock.advance(std::chrono::seconds(1));
  EXPECT_EQ(directory->keyring().lose_expired(), std::nullopt) << "no provider's key is held";
  EXPECT_EQ(vault->asked, asked);
  EXPECT_TRUE(acme.cancel_token().cancelled());
  EXPECT_EQ(acme.cancel_token().reason(), base::CancelReason::KeyUnavailable);
  EXPECT_FALSE(acme.alive());
  EXPECT_FALSE(bolt.cancel_token().cancelled());
  EXPECT_EQ(lost, std::vector<std::string>{"acme"});
  EXPECT_EQ(reasons, std::vector<std::string>{"key_unavailable"});
}

TEST_F(ProviderTest, ALossAndAReturnAreToldOnceEach) {
  open("acme");
  vault->deleted = true;
  clock.advance(std::chrono::seconds(20));
  for (int i = 0; i < 3; ++i) {
    directory->keyring().refresh("vault");
    EXPECT_FALSE(directory->open(test::principal("acme")).ok());
  }
  EXPECT_EQ(lost, std::vector<std::string>{"acme"});
  EXPECT_EQ(reasons, std::vector<std::string>{"key_revoked"});
  EXPECT_TRUE(directory->keyring().status(id("acme"))->lost);
  EXPECT_EQ(directory->keyring().lost(), 1u);
  EXPECT_TRUE(returned.empty());
  vault->deleted = false;
  directory->keyring().refresh("vault");
  directory->keyring().refresh("vault");
  EXPECT_EQ(returned, std::vector<std::string>{"acme"}) << "the refresh sees it; no request is needed";
  EXPECT_EQ(directory->keyring().lost(), 0u);
  EXPECT_TRUE(open("acme").alive());
  vault->deleted = true;
  clock.advance(std::chrono::seconds(20));
  directory->keyring().refresh("vault");
  EXPECT_EQ(lost.size(), 2u);
}

TEST_F(ProviderTest, ALossOfAColdTenantIsToldToo) {
  vault->deleted = true;
  EXPECT_TRUE(fails_with(TenancyError::KeyRevoked, directory->open(test::principal("acme"))));
  EXPECT_EQ(lost, std::vector<std::string>{"acme"});
}

TEST_F(ProviderTest, AClosedTenantsRequestsDoNotKeepItsProviderBusy) {
  vault->deleted = true;
  EXPECT_TRUE(fails_with(TenancyError::KeyRevoked, directory->open(test::principal("acme"))));
  const int asked = vault->asked;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(fails_with(TenancyError::KeyRevoked, directory->open(test::principal("acme"))));
    EXPECT_TRUE(fails_with(TenancyError::KeyRevoked, directory->open_at_once(test::principal("acme"))))
        << "refused on the reactor, so no thread is taken";
  }
  EXPECT_EQ(vault->asked, asked);
  clock.advance(std::chrono::seconds(1));
  EXPECT_TRUE(fails_with(TenancyError::KeyRevoked, directory->open(test::principal("acme"))));
  EXPECT_EQ(vault->asked, asked + 1) << "control: now and then one does ask";
}

TEST_F(ProviderTest, AReactorNeverWaitsForAProvider) {
  const int asked = vault->asked;
  auto cold = directory->open_at_once(test::principal("acme"));
  ASSERT_TRUE(cold.ok());
  EXPECT_FALSE(cold->has_value()) << "somebody else has to ask";
  EXPECT_EQ(vault->asked, asked);
  EXPECT_TRUE(directory->open_at_once(test::principal("bolt"))->has_value()) << "the platform asks nobody";
  open("acme");
  EXPECT_TRUE(directory->open_at_once(test::principal("acme"))->has_value()) << "held";
  clock.advance(std::chrono::seconds(61));
  EXPECT_FALSE(directory->open_at_once(test::principal("acme"))->has_value()) << "no longer";
  EXPECT_TRUE(fails_with(TenancyError::UnknownTenant, directory->open_at_once(test::principal("nobody"))));
}

TEST_F(ProviderTest, ATenantIsMadeUnderAProviderOrNotAtAll) {
  ASSERT_TRUE(directory->create(id("clinic"), "Clinic", IsolationMode::Hybrid, {}, "vault").ok());
  EXPECT_EQ(registry.tenants.at("clinic").provider, "vault");
  EXPECT_EQ(directory->keyring().status(id("clinic"))->custody, "vault");
  TenantScope clinic = open("clinic");
  vault->deleted = true;
  clock.advance(std::chrono::seconds(20));
  directory->keyring().refresh("vault");
  EXPECT_FALSE(clinic.alive());
  ASSERT_TRUE(directory->create(id("plain"), "Plain", IsolationMode::Hybrid, {}, "platform").ok());
  EXPECT_EQ(registry.tenants.at("plain").provider, "");
  EXPECT_TRUE(directory->open(test::principal("plain")).ok())
      << "control: the platform's has nothing to do with it";
  vault->reachable = false;
  EXPECT_FALSE(directory->create(id("late"), "Late", IsolationMode::Hybrid, {}, "vault").ok());
  EXPECT_FALSE(directory->create(id("odd"), "Odd", IsolationMode::Hybrid, {}, "no-such").ok());
  EXPECT_FALSE(registry.tenants.contains("late"));
  EXPECT_FALSE(registry.tenants.contains("odd"));
}

TEST_F(ProviderTest, ATenantWhoseKeyIsLostCanBeDestroyed) {
  open("acme");
  vault->deleted = true;
  clock.advance(std::chrono::seconds(20));
  directory->keyring().refresh("vault");
  auto certificate = directory->destroy(id("acme"), eraser, signer);
  ASSERT_TRUE(certificate.ok()) << certificate.error().describe();
  EXPECT_TRUE(registry.tenants.at("acme").wrapped_key.box.empty());
  directory->keyring().refresh("vault");
  EXPECT_EQ(lost.size(), 1u) << "a destroyed tenant has no key to lose";
  EXPECT_EQ(directory->keyring().lost(), 0u);
}

TEST_F(ProviderTest, AProofSaysThatTheTenantIsClosedWhenItsProviderRefuses) {
  auto proof = directory->keyring().prove(id("acme"), id("bolt"));
  ASSERT_TRUE(proof.ok());
  EXPECT_FALSE(proof->closed) << "control";
  vault->deleted = true;
  proof = directory->keyring().prove(id("acme"), id("bolt"));
  ASSERT_TRUE(proof.ok());
  EXPECT_TRUE(proof->closed);
}

TEST_F(ProviderTest, AKeyThatIsThereIsRenewedInTime) {
  TenantScope acme = open("acme");
  for (int i = 0; i < 10; ++i) {
    clock.advance(std::chrono::seconds(30));
    directory->keyring().refresh("vault");
    EXPECT_TRUE(acme.alive());
  }
  EXPECT_TRUE(lost.empty());
  EXPECT_GE(vault->asked, 10);
}

}  // namespace
}  // namespace bulkhead::tenancy
