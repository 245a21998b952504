// What a model file must show before a worker is started with it (OWASP AISVS 3.1.2, 4.1.2, 6.2.1):
// it lies where models may lie, is a GGUF file, has the SHA-256 it was announced with, and, where
// the deployment names signers, carries the Ed25519 signature of one of them.
//
// The worker checks the hash again at each load, so a file that is swapped later does not load.
// Signature: a file beside the model, "<model>.sig", of 64 raw bytes or their base64url or base64
// text, over the text "bulkhead-model-v1\n<sha256 in hex>\n" (RFC 8032, pure Ed25519).
// Thread safety: free functions. They read whole files: run them where blocking is allowed.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "crypto/signature.h"
#include "engine/model_registry.h"

namespace bulkhead::engine {

struct AdmissionRules {
  std::filesystem::path model_dir;         // empty: no model may be named at run time
  std::vector<crypto::VerifyKey> signers;  // empty: no signature is asked for
};

// The real path of `named` (absolute, or relative to model_dir) inside model_dir; ModelRefused for
// "..", a symbolic link that leads out, or anything but a regular file.
base::Result<std::filesystem::path> resolve_model_path(const AdmissionRules& rules,
                                                       const std::filesystem::path& named);

// Checks format, hash and signature; fills `sha256` when it was empty, and `signed_by`.
base::Result<void> admit_model(const AdmissionRules& rules, ModelVersion& version);

// The text that a signer signs.
std::string signed_text(std::string_view sha256);

}  // namespace bulkhead::engine
