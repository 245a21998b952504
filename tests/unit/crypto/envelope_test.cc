#include "crypto/envelope.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <set>
#include <string>

#include "base/file.h"
#include "crypto/hash.h"
#include "crypto/random.h"

namespace bulkhead::crypto {
namespace {

namespace fs = std::filesystem;

std::string line(int version, char digit) {
  return "v" + std::to_string(version) + " " + std::string(64, digit) + "\n";
}
base::Result<std::unique_ptr<PlatformKeys>> parse(std::string_view text) {
  return PlatformKeys::parse(base::Secret::copy_of(text));
}

class EnvelopeTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "bulkhead-keys-XXXXXX").string();
    dir_ = ::mkdtemp(pattern.data());
    file_ = dir_ / "platform.key";
  }
  void TearDown() override { fs::remove_all(dir_); }
  std::unique_ptr<PlatformKeys> fresh() {
    EXPECT_TRUE(base::write_file_atomically(file_, PlatformKeys::generate_file_content().reveal_text()));
    return std::move(*PlatformKeys::load(file_));
  }
  fs::path dir_;
  fs::path file_;
};

TEST_F(EnvelopeTest, WrapsUnderTheNewestVersionWithTheTenantBound) {
  auto keys = std::move(*parse(line(1, 'a') + line(3, 'b')));
  EXPECT_EQ(keys->newest(), 3u);
  base::Secret tenant_key = random_secret(32);
  WrappedKey wrapped = keys->wrap(tenant_key, "klinik");
  EXPECT_EQ(wrapped.platform_version, 3u);
  EXPECT_TRUE(*keys->unwrap(wrapped, "klinik") == tenant_key);
  EXPECT_TRUE(keys->unwrap(wrapped, "kanzlei").error().is(CryptoError::SealBroken));
  wrapped.platform_version = 1;
  EXPECT_TRUE(keys->unwrap(wrapped, "klinik").error().is(CryptoError::SealBroken));
  wrapped.platform_version = 2;
  EXPECT_TRUE(keys->unwrap(wrapped, "klinik").error().is(CryptoError::BadKey));
}

TEST_F(EnvelopeTest, RefusesFilesThatAreNotExactlyKeys) {
  ASSERT_TRUE(parse(line(1, 'a'))) << "control";
  EXPECT_TRUE(parse("v1 " + std::string(64, 'A') + "\r\n\n")) << "upper case and CRLF are fine";
  std::string many;
  for (int i = 1; i <= 17; ++i) many += line(i, 'a');
  const std::string cases[] = {"",
                               "\n",
                               "v1\n",
                               std::string(64, 'a'),
                               "1 " + std::string(64, 'a'),
                               "v0 " + std::string(64, 'a'),
                               "v-1 " + std::string(64, 'a'),
                               "v4294967296 " + std::string(64, 'a'),
                               "v1x " + std::string(64, 'a'),
                               "v1  " + std::string(64, 'a'),
                               "v1 " + std::string(63, 'a'),
                               "v1 " + std::string(62, 'a'),
                               "v1 " + std::string(66, 'a'),
                               "v1 " + std::string(63, 'a') + "g",
                               line(1, 'a') + line(1, 'b'),
                               line(1, 'a') + "nonsense\n",
                               many};
  for (const std::string& text : cases) {
    auto refused = parse(text);
    ASSERT_FALSE(refused) << text;
    EXPECT_TRUE(refused.error().is(CryptoError::BadKey));
    EXPECT_EQ(refused.error().describe().find(std::string(8, 'a')), std::string::npos)
        << "no key in messages";
  }
}

TEST_F(EnvelopeTest, LoadsOnlyAPrivateFile) {
  fresh();
  ::chmod(file_.c_str(), 0640);
  EXPECT_TRUE(PlatformKeys::load(file_).error().is(base::FileError::TooOpen));
  ::chmod(file_.c_str(), 0600);
  EXPECT_TRUE(PlatformKeys::load(file_)) << "control";
  EXPECT_TRUE(PlatformKeys::load(dir_ / "none").error().is(base::FileError::NotFound));
}

TEST_F(EnvelopeTest, GeneratedFilesDiffer) {
  base::Secret one = PlatformKeys::generate_file_content();
  EXPECT_TRUE(one.reveal_text().starts_with("v1 "));
  EXPECT_EQ(one.size(), 3u + 64u + 1u);
  EXPECT_FALSE(one == PlatformKeys::generate_file_content());
}

TEST_F(EnvelopeTest, RotationKeepsTheOldVersionUntilItIsRetired) {
  auto keys = fresh();
  base::Secret tenant_key = random_secret(32);
  WrappedKey old = keys->wrap(tenant_key, "klinik");
  ASSERT_EQ(*keys->add_version(), 2u);

  auto restarted = std::move(*PlatformKeys::load(file_));
  EXPECT_EQ(restarted->newest(), 2u);
  auto unwrapped = restarted->unwrap(old, "klinik");
  ASSERT_TRUE(unwrapped);
  WrappedKey renewed = restarted->wrap(*unwrapped, "klinik");
  ASSERT_TRUE(restarted->retire_older());
  EXPECT_TRUE(restarted->retire_older()) << "again";

  auto after = std::move(*PlatformKeys::load(file_));
  for (PlatformKeys* now : {restarted.get(), after.get()}) {
    EXPECT_TRUE(*now->unwrap(renewed, "klinik") == tenant_key);
    EXPECT_TRUE(now->unwrap(old, "klinik").error().is(CryptoError::BadKey)) << "crypto-erased";
  }
  EXPECT_EQ(*after->add_version(), 3u) << "a number is never used twice";
  struct stat info{};
  ::stat(file_.c_str(), &info);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(EnvelopeTest, NeverWritesAFileThatItWouldNotLoad) {
  auto keys = fresh();
  while (keys->add_version()) ASSERT_LT(keys->newest(), 100u);
  EXPECT_TRUE(PlatformKeys::load(file_)) << keys->newest();
  EXPECT_TRUE(keys->add_version().error().is(CryptoError::Unsupported));
  ASSERT_TRUE(keys->retire_older());
  EXPECT_TRUE(keys->add_version()) << "control: after finishing the rotation it goes on";

  ASSERT_TRUE(base::write_file_atomically(file_, "v4294967295 " + std::string(64, 'a')));
  auto last = std::move(*PlatformKeys::load(file_));
  EXPECT_FALSE(last->add_version());
  EXPECT_EQ(last->newest(), 4294967295u);
}

TEST_F(EnvelopeTest, AFailedWriteChangesNothing) {
  auto keys = fresh();
  ASSERT_TRUE(keys->add_version());
  WrappedKey wrapped = keys->wrap(random_secret(32), "t");
  fs::rename(dir_, dir_.string() + "-away");
  EXPECT_FALSE(keys->add_version());
  EXPECT_EQ(keys->newest(), 2u);
  EXPECT_FALSE(keys->retire_older());
  EXPECT_TRUE(keys->derive(1, "registry")) << "the older version is still here";
  EXPECT_TRUE(keys->unwrap(wrapped, "t"));
  fs::rename(dir_.string() + "-away", dir_);
  EXPECT_EQ(*keys->add_version(), 3u) << "control";
}

TEST_F(EnvelopeTest, KeysFromTheEnvironmentCannotRotate) {
  auto keys = std::move(*parse(line(1, 'a')));
  EXPECT_TRUE(keys->add_version().error().is(CryptoError::Unsupported));
  EXPECT_EQ(keys->newest(), 1u);
}

TEST_F(EnvelopeTest, EveryPurposeTenantAndVersionHasItsOwnKey) {
  auto keys = std::move(*parse(line(1, 'a') + line(2, 'b')));
  std::set<std::string> seen;
  auto add = [&seen](const base::Secret& key) {
    EXPECT_EQ(key.size(), 32u);
    EXPECT_TRUE(seen.insert(base::hex_encode(key.reveal())).second);
  };
  add(*keys->derive(1, "registry"));
  add(*keys->derive(2, "registry"));
  add(*keys->derive(1, "api-key-tag"));
  EXPECT_TRUE(*keys->derive(1, "registry") == *keys->derive(1, "registry"));
  EXPECT_TRUE(keys->derive(3, "registry").error().is(CryptoError::BadKey));
  for (const char* tenant : {"klinik", "kanzlei"}) {
    TenantKeys tenant_keys(base::Secret::copy_of(base::Bytes(32, 7)), tenant);
    for (Purpose purpose :
         {Purpose::Database, Purpose::RecordSeal, Purpose::AuditHash, Purpose::ApiKeyHash}) {
      add(tenant_keys.key(purpose));
    }
  }
}

// What is on disk depends on this derivation: it must never change by accident.
TEST_F(EnvelopeTest, PurposeKeysAreDerivedAsDocumented) {
  base::Secret tenant_key = base::Secret::copy_of(base::Bytes(32, 7));
  TenantKeys keys(tenant_key.clone(), "klinik");
  EXPECT_TRUE(keys.key(Purpose::RecordSeal) ==
              hkdf_sha256(tenant_key.reveal(), {}, "bulkhead/v1/record-seal/klinik", 32));
}

}  // namespace
}  // namespace bulkhead::crypto
