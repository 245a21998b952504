// Keys in a real token (SoftHSM 2), made, exchanged and withdrawn by other programs.
#include "crypto/pkcs11_provider.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "crypto/aead.h"
#include "crypto/random.h"
#include "support/softhsm.h"

namespace bulkhead::crypto {
namespace {

using test::SoftHsm;

template <typename T, typename Code>
::testing::AssertionResult fails_with(Code code, const base::Result<T>& result, std::string_view says = "") {
  if (result) return ::testing::AssertionFailure() << "it worked";
  if (!result.error().is(code)) return ::testing::AssertionFailure() << result.error().describe();
  if (result.error().describe().find(says) == std::string::npos) {
    return ::testing::AssertionFailure() << "does not say \"" << says << "\": " << result.error().describe();
  }
  return ::testing::AssertionSuccess();
}

class Pkcs11Test : public ::testing::Test {
 protected:
  std::unique_ptr<Pkcs11Provider> open(Pkcs11Options options) {
    auto provider = Pkcs11Provider::open(std::move(options));
    EXPECT_TRUE(provider.ok()) << provider.error().describe();
    return std::move(*provider);
  }
  Pkcs11Options options(const std::string& token = "hospital", const std::string& label = "kek") {
    return {
        .module = SoftHsm::kModule, .token = token, .serial = "", .key = label, .pin_file = hsm.pin_file()};
  }
  // A token with a key as it must be.
  std::unique_ptr<Pkcs11Provider> open_good() {
    hsm.make_token("hospital");
    SoftHsm::make_key("hospital", "kek");
    return open(options());
  }
  base::Bytes wrapped(KeyProvider& provider) {
    auto box = provider.wrap(key, "tenant/acme");
    EXPECT_TRUE(box.ok()) << box.error().describe();
    return box ? *box : base::Bytes();
  }

  SoftHsm hsm;
  const base::Secret key = random_secret(32);
};

TEST_F(Pkcs11Test, GivesBackWhatItTookForTheSameContextOnly) {
  auto provider = open_good();
  const base::Bytes box = wrapped(*provider), second = wrapped(*provider);
  EXPECT_NE(box, second) << "an IV of its own each time";
  EXPECT_EQ(box.size(), 1 + 12 + 32 + 16u);
  auto back = provider->unwrap(box, "tenant/acme");
  ASSERT_TRUE(back.ok()) << back.error().describe();
  EXPECT_TRUE(*back == key);
  EXPECT_TRUE(fails_with(CryptoError::SealBroken, provider->unwrap(box, "tenant/bolt")));
  for (std::size_t at = 0; at < box.size(); ++at) {
    base::Bytes altered = box;
    altered[at] ^= 1;
    EXPECT_TRUE(fails_with(CryptoError::SealBroken, provider->unwrap(altered, "tenant/acme"))) << at;
  }
  EXPECT_TRUE(fails_with(CryptoError::SealBroken, provider->unwrap({}, "tenant/acme")));
  EXPECT_TRUE(try_provider(*provider).ok());
  EXPECT_EQ(provider->describe(), "PKCS#11 token hospital, key kek");
}

TEST_F(Pkcs11Test, MakesAKeyThatCantLeaveTheToken) {
  hsm.make_token("hospital");
  auto provider = open(options());
  EXPECT_TRUE(fails_with(KeyProviderError::Revoked, provider->wrap(key, "x"), "provider-init")) << "control";
  auto made = provider->make_key();
  ASSERT_TRUE(made.ok()) << made.error().describe();
  EXPECT_TRUE(*made);
  EXPECT_TRUE(try_provider(*provider).ok());
  const std::string listed = SoftHsm::tool("hospital", "--list-objects --type secrkey");
  EXPECT_NE(listed.find("sensitive, always sensitive, never extractable, local"), std::string::npos)
      << listed;
  const base::Bytes box = wrapped(*provider);
  auto again = provider->make_key();
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(*again);
  EXPECT_TRUE(provider->unwrap(box, "tenant/acme").ok()) << "the key that was there stays";
}

TEST_F(Pkcs11Test, ADeletedKeyIsRevokedAndAnotherOfItsNameDoesNotOpen) {
  auto provider = open_good();
  const base::Bytes box = wrapped(*provider);
  ASSERT_TRUE(provider->unwrap(box, "tenant/acme").ok()) << "control";
  SoftHsm::delete_key("hospital", "kek");
  EXPECT_TRUE(fails_with(KeyProviderError::Revoked, provider->unwrap(box, "tenant/acme"), "no such key"));
  EXPECT_TRUE(fails_with(KeyProviderError::Revoked, provider->wrap(key, "tenant/acme")));
  SoftHsm::make_key("hospital", "kek");
  EXPECT_TRUE(fails_with(CryptoError::SealBroken, provider->unwrap(box, "tenant/acme")));
  EXPECT_TRUE(try_provider(*provider).ok()) << "for new boxes it is as good as the first";
}

TEST_F(Pkcs11Test, AWrongPinIsRefusedOnceAndNotSentAgainUntilItsFileChanges) {
  auto provider = open_good();
  const base::Bytes box = wrapped(*provider);
  hsm.pin_file("9999");
  EXPECT_TRUE(
      fails_with(KeyProviderError::Revoked, provider->unwrap(box, "tenant/acme"), "CKR_PIN_INCORRECT"));
  // The token would take it now: that nothing is sent shows that the second refusal is our own.
  SoftHsm::run(std::string("pkcs11-tool --module ") + SoftHsm::kModule +
               " --token-label hospital --login --pin 7788 --change-pin --new-pin 9999");
  EXPECT_TRUE(fails_with(KeyProviderError::Revoked, provider->unwrap(box, "tenant/acme"), "not tried again"));
  hsm.pin_file("9999");
  EXPECT_TRUE(provider->unwrap(box, "tenant/acme").ok());
}

TEST_F(Pkcs11Test, EachUseLogsInAnew) {
  auto provider = open_good();
  const base::Bytes box = wrapped(*provider);
  ASSERT_TRUE(provider->unwrap(box, "tenant/acme").ok()) << "control";
  std::filesystem::remove(hsm.folder / "pin");
  EXPECT_TRUE(fails_with(KeyProviderError::Misconfigured, provider->unwrap(box, "tenant/acme")));
  hsm.pin_file("12345678");
  auto refused = provider->unwrap(box, "tenant/acme");
  ASSERT_TRUE(fails_with(KeyProviderError::Revoked, refused, "CKR_PIN_INCORRECT"));
  EXPECT_EQ(refused.error().describe().find("12345678"), std::string::npos) << "a PIN stands in no message";
  hsm.pin_file();
  EXPECT_TRUE(provider->unwrap(box, "tenant/acme").ok());
}

TEST_F(Pkcs11Test, ATokenThatIsTakenAwayIsUnavailableAndMayComeBack) {
  auto provider = open_good();
  const base::Bytes box = wrapped(*provider);
  ASSERT_TRUE(provider->unwrap(box, "tenant/acme").ok()) << "control";
  std::filesystem::rename(hsm.tokens(), hsm.folder / "away");
  std::filesystem::create_directory(hsm.tokens());
  auto gone = provider->unwrap(box, "tenant/acme");
  EXPECT_TRUE(fails_with(KeyProviderError::Unavailable, gone, "no such token"));
  EXPECT_TRUE(fails_with(KeyProviderError::Unavailable, provider->unwrap(box, "tenant/acme")));
  std::filesystem::remove(hsm.tokens());
  std::filesystem::rename(hsm.folder / "away", hsm.tokens());
  auto back = provider->unwrap(box, "tenant/acme");
  ASSERT_TRUE(back.ok()) << back.error().describe();
  EXPECT_TRUE(*back == key);
}

TEST_F(Pkcs11Test, ATokenThatIsMadeLaterIsFound) {
  auto provider = open(options());
  EXPECT_TRUE(fails_with(KeyProviderError::Unavailable, provider->wrap(key, "x"), "no such token"));
  hsm.make_token("hospital");
  SoftHsm::make_key("hospital", "kek");
  EXPECT_TRUE(try_provider(*provider).ok());
}

TEST_F(Pkcs11Test, KeysThatAreNotAsTheyMustBeAreRefused) {
  hsm.make_token("hospital");
  SoftHsm::make_key("hospital", "kek");
  EXPECT_TRUE(try_provider(*open(options())).ok()) << "control";
  SoftHsm::make_key("hospital", "extractable", "--key-type AES:32 --sensitive --extractable");
  SoftHsm::make_key("hospital", "readable", "--key-type AES:32");
  SoftHsm::make_key("hospital", "short", "--key-type AES:16 --sensitive");
  SoftHsm::make_key("hospital", "generic", "--key-type GENERIC:32 --sensitive");
  for (auto [label, says] : {std::pair{"extractable", "taken out of the token"},
                             {"readable", "taken out of the token"},
                             {"short", "no AES key of 32 bytes"},
                             {"generic", "no AES key of 32 bytes"}}) {
    auto provider = open(options("hospital", label));
    EXPECT_TRUE(fails_with(KeyProviderError::Misconfigured, provider->wrap(key, "x"), says)) << label;
  }
  SoftHsm::make_key("hospital", "kek");
  EXPECT_TRUE(fails_with(KeyProviderError::Misconfigured, open(options())->wrap(key, "x"), "several keys"));
}

TEST_F(Pkcs11Test, AKeyThatIsExchangedForAWeakerOneIsNotUsed) {
  auto provider = open_good();
  EXPECT_TRUE(try_provider(*provider).ok()) << "control";
  SoftHsm::delete_key("hospital", "kek");
  SoftHsm::make_key("hospital", "kek", "--key-type AES:32 --sensitive --extractable");
  EXPECT_TRUE(
      fails_with(KeyProviderError::Misconfigured, provider->wrap(key, "x"), "taken out of the token"));
}

TEST_F(Pkcs11Test, WhatTheOperatorSetWronglyIsNamed) {
  hsm.make_token("hospital");
  SoftHsm::make_key("hospital", "kek");
  auto load = [&](const std::filesystem::path& module) {
    Pkcs11Options changed = options();
    changed.module = module;
    return Pkcs11Provider::open(changed);
  };
  EXPECT_TRUE(load(SoftHsm::kModule).ok()) << "control";
  EXPECT_TRUE(fails_with(KeyProviderError::Misconfigured, load("/nowhere/module.so"), "/nowhere/module.so"));
  EXPECT_TRUE(fails_with(KeyProviderError::Misconfigured, load(hsm.folder), "is no file"));
  EXPECT_TRUE(fails_with(KeyProviderError::Misconfigured, load("/usr/lib/x86_64-linux-gnu/libsodium.so.23"),
                         "is no PKCS#11 library"));
  std::filesystem::copy_file(std::filesystem::canonical(SoftHsm::kModule), hsm.folder / "loose.so");
  ::chmod((hsm.folder / "loose.so").c_str(), 0666);
  EXPECT_TRUE(fails_with(KeyProviderError::Misconfigured, load(hsm.folder / "loose.so"), "chmod go-w"));

  Pkcs11Options changed = options();
  ::chmod(changed.pin_file.c_str(), 0644);
  EXPECT_TRUE(fails_with(KeyProviderError::Misconfigured, open(changed)->wrap(key, "x"), "mode 0600"));
  changed.pin_file = hsm.folder / "no-pin";
  EXPECT_TRUE(fails_with(KeyProviderError::Misconfigured, open(changed)->wrap(key, "x"), "no-pin"));
  EXPECT_TRUE(
      fails_with(KeyProviderError::Unavailable, open(options("clinic"))->wrap(key, "x"), "no such token"));
  EXPECT_TRUE(fails_with(KeyProviderError::Revoked, open(options("hospital", "no-key"))->wrap(key, "x"),
                         "no such key"));
}

TEST_F(Pkcs11Test, ASerialNumberTellsTokensOfOneLabelApart) {
  hsm.make_token("hospital");
  SoftHsm::make_key("hospital", "kek");
  const std::string listed = SoftHsm::run("softhsm2-util --show-slots");
  const std::size_t at = listed.find("Serial number:") + 14;
  const std::string serial = listed.substr(listed.find_first_not_of(' ', at), 16);
  hsm.make_token("hospital");
  EXPECT_TRUE(fails_with(KeyProviderError::Misconfigured, open(options())->wrap(key, "x"), "serial"));
  Pkcs11Options named = options();
  named.serial = serial;
  EXPECT_TRUE(try_provider(*open(named)).ok());
  named.token = "";
  EXPECT_TRUE(try_provider(*open(named)).ok());
}

TEST_F(Pkcs11Test, TwoTokensOfOneModuleServeManyThreads) {
  hsm.make_token("hospital");
  hsm.make_token("lawyers");
  for (const char* token : {"hospital", "lawyers"}) SoftHsm::make_key(token, "kek");
  SoftHsm::make_key("hospital", "second");
  auto hospital = open(options()), second = open(options("hospital", "second")),
       lawyers = open(options("lawyers"));
  EXPECT_TRUE(fails_with(CryptoError::SealBroken, lawyers->unwrap(wrapped(*hospital), "tenant/acme")));
  EXPECT_TRUE(fails_with(CryptoError::SealBroken, second->unwrap(wrapped(*hospital), "tenant/acme")));
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (KeyProvider* provider :
       std::initializer_list<KeyProvider*>{hospital.get(), second.get(), lawyers.get()}) {
    for (int thread = 0; thread < 3; ++thread) {
      threads.emplace_back([&right, provider] {
        for (int round = 0; round < 10; ++round) right += try_provider(*provider).ok() ? 1 : 0;
      });
    }
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 90);
}

}  // namespace
}  // namespace bulkhead::crypto
