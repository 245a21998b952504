// AISVS 3.1.2: what a file must show before it is loaded.
#include "engine/model_admission.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/bytes.h"
#include "crypto/hash.h"
#include "engine/engine.h"

namespace bulkhead::engine {
namespace {

namespace fs = std::filesystem;

class AdmissionTest : public testing::Test {
 protected:
  AdmissionTest() {
    char path[] = "/tmp/bulkhead-models-XXXXXX";
    folder_ = ::mkdtemp(path);
    rules_.model_dir = folder_ / "models";
    fs::create_directory(rules_.model_dir);
    write(rules_.model_dir / "a.gguf", kContent);
    write(folder_ / "outside.gguf", kContent);
  }
  ~AdmissionTest() override { fs::remove_all(folder_); }

  static void write(const fs::path& path, std::string_view content) {
    std::ofstream(path, std::ios::binary) << content;
  }
  ModelVersion model() const {
    ModelVersion version;
    version.id = "a";
    version.path = rules_.model_dir / "a.gguf";
    return version;
  }
  bool resolves(const fs::path& named) const { return resolve_model_path(rules_, named).ok(); }
  // Signs with `key` into the file beside the model.
  void sign(const crypto::SigningKey& key, std::string_view text) const {
    crypto::SignatureBytes signature = key.sign(base::as_bytes(text));
    write(rules_.model_dir / "a.gguf.sig", base::base64url_encode(signature) + "\n");
  }

  static constexpr std::string_view kContent = "GGUF and the rest";
  const std::string hash_ = base::hex_encode(crypto::sha256(kContent));
  fs::path folder_;
  AdmissionRules rules_;
};

TEST_F(AdmissionTest, PathsLieInTheModelFolder) {
  EXPECT_TRUE(resolves("a.gguf"));
  EXPECT_TRUE(resolves(rules_.model_dir / "a.gguf"));
  EXPECT_EQ(*resolve_model_path(rules_, "a.gguf"), fs::canonical(rules_.model_dir / "a.gguf"));
  EXPECT_FALSE(resolves("../outside.gguf"));
  EXPECT_FALSE(resolves("../models/a.gguf")) << "no .. at all";
  EXPECT_FALSE(resolves(folder_ / "outside.gguf"));
  EXPECT_FALSE(resolves("missing.gguf"));
  EXPECT_FALSE(resolves("."));
  EXPECT_FALSE(resolves(""));
}

TEST_F(AdmissionTest, LinksMayNotLeadOut) {
  fs::create_symlink(folder_ / "outside.gguf", rules_.model_dir / "out.gguf");
  fs::create_symlink(folder_, rules_.model_dir / "up");
  fs::create_symlink("a.gguf", rules_.model_dir / "in.gguf");
  EXPECT_FALSE(resolves("out.gguf"));
  EXPECT_FALSE(resolves("up/outside.gguf"));
  EXPECT_TRUE(resolves("in.gguf"));
  // A folder whose name merely begins like the model folder's.
  fs::create_directory(folder_ / "models-other");
  write(folder_ / "models-other" / "a.gguf", kContent);
  EXPECT_FALSE(resolves(folder_ / "models-other" / "a.gguf"));
}

TEST_F(AdmissionTest, WithoutAModelFolderNothingIsLoadedWhileServing) {
  rules_.model_dir.clear();
  EXPECT_FALSE(resolves(folder_ / "outside.gguf"));
}

TEST_F(AdmissionTest, TheHashMustBeTheAnnouncedOne) {
  ModelVersion right = model(), wrong = model(), open = model();
  right.sha256 = hash_;
  EXPECT_TRUE(admit_model(rules_, right).ok());
  wrong.sha256 = std::string(64, '0');
  auto refused = admit_model(rules_, wrong);
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(refused.error().is(EngineError::ModelRefused));
  EXPECT_NE(refused.error().message().find(hash_), std::string::npos) << "says what it is instead";
  EXPECT_TRUE(admit_model(rules_, open).ok());
  EXPECT_EQ(open.sha256, hash_) << "pinned by its first reading";
}

TEST_F(AdmissionTest, OnlyGguf) {
  ModelVersion version = model();
  write(version.path, "PK\x03\x04 a pickle");
  EXPECT_FALSE(admit_model(rules_, version).ok());
  write(version.path, "GG");
  EXPECT_FALSE(admit_model(rules_, version).ok());
}

TEST_F(AdmissionTest, ASignatureIsOfThisFileByATrustedSigner) {
  crypto::SigningKey trusted = crypto::SigningKey::generate(), other = crypto::SigningKey::generate();
  ModelVersion version = model();
  EXPECT_TRUE(admit_model(rules_, version).ok()) << "none is asked for";
  rules_.signers = {trusted.verify_key()};
  EXPECT_FALSE(admit_model(rules_, version).ok()) << "none is there";
  sign(other, signed_text(hash_));
  EXPECT_FALSE(admit_model(rules_, version).ok());
  sign(trusted, signed_text(std::string(64, '0')));
  EXPECT_FALSE(admit_model(rules_, version).ok()) << "of another file";
  sign(trusted, hash_);
  EXPECT_FALSE(admit_model(rules_, version).ok())
      << "of the bare hash, which may have been signed for another purpose";
  write(rules_.model_dir / "a.gguf.sig", "no signature");
  EXPECT_FALSE(admit_model(rules_, version).ok());
  sign(trusted, signed_text(hash_));
  ASSERT_TRUE(admit_model(rules_, version).ok());
  EXPECT_EQ(version.signed_by, trusted.verify_key().id());
  crypto::SignatureBytes raw = trusted.sign(base::as_bytes(signed_text(hash_)));
  write(rules_.model_dir / "a.gguf.sig",
        std::string_view(reinterpret_cast<const char*>(raw.data()), raw.size()));
  EXPECT_TRUE(admit_model(rules_, version).ok()) << "raw bytes";
  rules_.signers = {other.verify_key(), trusted.verify_key()};
  EXPECT_TRUE(admit_model(rules_, version).ok()) << "any of several signers";
}

}  // namespace
}  // namespace bulkhead::engine
