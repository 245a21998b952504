#include "engine/model_admission.h"

#include <array>
#include <fstream>

#include "base/bytes.h"
#include "base/file.h"
#include "crypto/hash.h"
#include "engine/engine.h"

namespace bulkhead::engine {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kReadBytes = 1 << 20;
constexpr std::size_t kSignatureFileBytesMax = 512;

Error refused(std::string message, std::string detail = {}) {
  return Error(EngineError::ModelRefused, std::move(message), std::move(detail));
}

Result<std::string> hash_of_gguf(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::array<char, 4> magic{};
  if (!in || !in.read(magic.data(), magic.size())) {
    return refused(
        "The model file can't be read. Check that it exists and that the gateway's user may read it.",
        path.string());
  }
  // Formats that can carry code are never loaded.
  if (std::string_view(magic.data(), magic.size()) != "GGUF") {
    return refused("The model file is not a GGUF file; no other format is loaded.", path.string());
  }
  in.seekg(0);
  crypto::Sha256 hash;
  std::vector<char> buffer(kReadBytes);
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || in.gcount() > 0) {
    hash.update(base::as_bytes(std::string_view(buffer.data(), static_cast<std::size_t>(in.gcount()))));
  }
  if (in.bad()) return refused("The model file can't be read to its end.", path.string());
  return base::hex_encode(hash.finish());
}

std::optional<base::Bytes> decode_signature(std::string text) {
  constexpr std::size_t kBytes = std::tuple_size_v<crypto::SignatureBytes>;
  if (text.size() == kBytes) return base::Bytes(text.begin(), text.end());
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  auto bytes = base::base64url_decode(text);
  if (!bytes) bytes = base::base64_decode(text);
  if (!bytes || bytes->size() != kBytes) return std::nullopt;
  return bytes;
}

Result<std::string> signer_of(const AdmissionRules& rules, const ModelVersion& version) {
  std::filesystem::path file = version.path;
  file += ".sig";
  auto text = base::read_file(file, kSignatureFileBytesMax);
  if (!text) {
    return refused(
        "This deployment loads signed models only, and there is no signature beside the model "
        "(its name with .sig appended).",
        file.string());
  }
  auto signature = decode_signature(std::move(*text));
  if (!signature)
    return refused("The model's signature file does not hold an Ed25519 signature.", file.string());
  std::string message = signed_text(version.sha256);
  for (const crypto::VerifyKey& key : rules.signers) {
    if (key.verify(base::as_bytes(message), *signature)) return key.id();
  }
  return refused(
      "The model's signature is not from a signer that this deployment trusts (engine.model_signers).",
      file.string());
}

}  // namespace

std::string signed_text(std::string_view sha256) {
  return "bulkhead-model-v1\n" + std::string(sha256) + "\n";
}

Result<std::filesystem::path> resolve_model_path(const AdmissionRules& rules,
                                                 const std::filesystem::path& named) {
  if (rules.model_dir.empty()) {
    return refused("Models can't be loaded while serving here: the configuration names no engine.model_dir.");
  }
  for (const std::filesystem::path& part : named) {
    if (part == "..") return refused("A model's path may not contain \"..\".");
  }
  std::error_code failed;
  std::filesystem::path root = std::filesystem::canonical(rules.model_dir, failed);
  if (failed) return refused("The folder engine.model_dir can't be read.", rules.model_dir.string());
  std::filesystem::path real = std::filesystem::canonical(named.is_absolute() ? named : root / named, failed);
  // A missing file and one outside answer alike, so that this route can't feel its way over the disk.
  Error outside = refused("There is no such model file in engine.model_dir.", named.string());
  if (failed) return outside;
  auto [end, ignored] = std::mismatch(root.begin(), root.end(), real.begin(), real.end());
  if (end != root.end()) return outside;
  if (!std::filesystem::is_regular_file(real, failed)) return outside;
  return real;
}

Result<void> admit_model(const AdmissionRules& rules, ModelVersion& version) {
  BULKHEAD_TRY(hash, hash_of_gguf(version.path));
  if (!version.sha256.empty() && hash != version.sha256) {
    return refused("The model file is not the announced one: its SHA-256 is " + hash + ", announced was " +
                       version.sha256 + ".",
                   version.path.string());
  }
  version.sha256 = std::move(hash);
  version.signed_by.clear();
  if (rules.signers.empty()) return Result<void>();
  BULKHEAD_TRY(signer, signer_of(rules, version));
  version.signed_by = std::move(signer);
  return Result<void>();
}

}  // namespace bulkhead::engine
