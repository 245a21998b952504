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
    directory->add_provider("vault", vault);
    directory->set_key_lifetime(std::chrono::seconds(60));
    directory->on_keys_lost([this](const base::TenantId& id) { lost.push_back(id.str()); });
    create("acme");
    create("bolt");
    ASSERT_TRUE(directory->begin_rotation(id("acme"), {.tenant_key = true, .provider = "vault"}).ok());
  }
  static base::TenantId id(const char* name) { return *base::TenantId::parse(name); }
  std::shared_ptr<Vault> vault = std::make_shared<Vault>();
  std::vector<std::string> lost;
};

TEST_F(ProviderTest, ItsKeyOpensTheTenantAndThePlatformsDoesNot) {
  const base::Secret before = open("acme").key(crypto::Purpose::RecordSeal).clone();
  EXPECT_EQ(directory->key_status(id("acme"))->provider, "vault");
  EXPECT_EQ(registry.tenants.at("acme").provider, "vault");
  auto fresh = open_directory();
  EXPECT_TRUE(fails_with(TenancyError::KeyUnavailable, fresh->open(test::principal("acme"))))
      << "without the provider there is no key";
  fresh->add_provider("vault", vault);
  auto scope = fresh->open(test::principal("acme"));
  ASSERT_TRUE(scope.ok());
  EXPECT_TRUE(scope->key(crypto::Purpose::RecordSeal) == before);
  EXPECT_TRUE(fails_with(TenancyError::KeyUnavailable,
                         directory->begin_rotation(id("bolt"), {.tenant_key = true, .provider = "no-such"})));
}

TEST_F(ProviderTest, ARevokedKeyCutsTheTenantAtTheNextAskingAndNobodyElse) {
  TenantScope acme = open("acme"), bolt = open("bolt");
  vault->deleted = true;
  EXPECT_TRUE(acme.alive()) << "control: until it is asked again";
  clock.advance(std::chrono::seconds(20));
  directory->refresh_keys("vault");
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
  directory->refresh_keys("vault");
  EXPECT_TRUE(acme.alive());
  EXPECT_TRUE(directory->open(test::principal("acme")).ok());
  clock.advance(std::chrono::seconds(21));
  // Also when nobody asks, as with a token that hangs.
  EXPECT_FALSE(acme.alive());
  EXPECT_TRUE(fails_with(TenancyError::KeyUnavailable, directory->open(test::principal("acme"))));
  vault->reachable = true;
  EXPECT_TRUE(directory->open(test::principal("acme")).ok()) << "back again";
}

TEST_F(ProviderTest, AKeyThatIsThereIsRenewedInTime) {
  TenantScope acme = open("acme");
  for (int i = 0; i < 10; ++i) {
    clock.advance(std::chrono::seconds(30));
    directory->refresh_keys("vault");
    EXPECT_TRUE(acme.alive());
  }
  EXPECT_TRUE(lost.empty());
  EXPECT_GE(vault->asked, 10);
}

}  // namespace
}  // namespace bulkhead::tenancy
