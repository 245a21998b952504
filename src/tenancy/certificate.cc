// Certificates of destruction, after NIST SP 800-88r2 (appendix: what a certificate states).
#include "tenancy/certificate.h"

#include <tuple>

#include "base/bytes.h"
#include "base/json.h"

namespace bulkhead::tenancy {

using base::Error;
using base::Result;

namespace {

constexpr std::string_view kSignaturePrefix = ",\"signature\":\"";

// Closes the document with its signer and the signature over all before it.
DestructionCertificate sign(base::json::Writer& w, const crypto::SigningKey& signer) {
  w.member("signed_by", signer.verify_key().id()).member("key", signer.verify_key().base64url());
  std::string body = w.take();
  crypto::SignatureBytes signature = signer.sign(base::as_bytes(body));
  body += kSignaturePrefix;
  body += base::base64url_encode(signature);
  body += "\"}";
  return {std::move(body)};
}

}  // namespace

DestructionCertificate make_erasure_certificate(const ErasureFacts& facts, const crypto::SigningKey& signer) {
  base::json::Writer w;
  w.begin_object()
      .member("type", "bulkhead.certificate_of_erasure/1")
      .member("standard", "NIST SP 800-88r2")
      .member("tenant", facts.tenant)
      .member("kind", facts.kind)
      .member("subject", facts.name)
      .member("requested_by", facts.requested_by)
      .member("erased_at", base::rfc3339(facts.time))
      .member(
          "method",
          "cryptographic erase: the records and the wrapped data keys that alone opened them were deleted; "
          "the tenant key and the record-seal key that wrapped the data keys were replaced and destroyed");
  w.key("records").begin_array();
  for (const ErasedRecord& record : facts.records) {
    w.begin_object().member("id", record.id);
    if (record.key_id.empty()) {
      w.key("key_id").null();
    } else {
      w.member("key_id", record.key_id);
    }
    w.end_object();
  }
  w.end_array().key("api_keys").begin_array();
  for (const std::string& id : facts.api_keys) w.value(id);
  w.end_array()
      .member("record_seal_key_destroyed", static_cast<std::int64_t>(facts.record_seal_version))
      .member(
          "verification",
          "the store was read back: none of the records and data keys is there; the destroyed record-seal "
          "key is not in the key ring");
  return sign(w, signer);
}

DestructionCertificate make_move_certificate(const MoveFacts& facts, const crypto::SigningKey& signer) {
  const bool stayed = facts.record_seal_version == 0;
  base::json::Writer w;
  w.begin_object()
      .member("type", "bulkhead.certificate_of_move/1")
      .member("standard", "NIST SP 800-88r2")
      .member("tenant", facts.tenant);
  for (const auto& [name, mode, store] : {std::tuple("from", &facts.from_mode, &facts.from_store),
                                          std::tuple("to", &facts.to_mode, &facts.to_store)}) {
    w.key(name).begin_object().member("mode", *mode);
    w.member("store", store->empty() ? std::string("embedded") : *store).end_object();
  }
  w.member("moved_at", base::rfc3339(facts.time))
      .member("records", facts.records)
      .member("manifest_sha256", facts.manifest)
      .member("method",
              stayed ? "the mode was changed; the data stayed in its place, and nothing was erased"
                     : "cryptographic erase of the old place: the tenant key, the record-seal key and the "
                       "database key that opened it were replaced and destroyed; what lay there was removed");
  w.key("removed").begin_array();
  for (const std::string& name : facts.erased.removed) w.value(name);
  w.end_array()
      .member("removed_bytes", facts.erased.bytes)
      .member("record_seal_key_destroyed", static_cast<std::int64_t>(facts.record_seal_version))
      .member("database_key_destroyed", static_cast<std::int64_t>(facts.database_version))
      .member("verification",
              stayed
                  ? "nothing was erased, so nothing was read back"
                  : "every record was read back in the new place and its digest compared before the switch; "
                    "the destroyed keys are not in the key ring");
  return sign(w, signer);
}

DestructionCertificate make_certificate(const CertificateFacts& facts, const crypto::SigningKey& signer) {
  base::json::Writer w;
  w.begin_object()
      .member("type", "bulkhead.certificate_of_destruction/1")
      .member("standard", "NIST SP 800-88r2")
      .member("tenant", facts.tenant)
      .member("destroyed_at", base::rfc3339(facts.time))
      .member("method",
              "cryptographic erase: the only wrapped copy of the tenant's key was destroyed; "
              "the files that it encrypted were then removed");
  if (facts.key_id.empty()) {
    w.key("key_id").null().member("note",
                                  "an earlier, interrupted run destroyed the key; this one removed "
                                  "the files");
  } else {
    w.member("key_id", facts.key_id);
  }
  w.key("removed_files").begin_array();
  for (const std::string& name : facts.erased.removed) w.value(name);
  w.end_array()
      .member("removed_bytes", facts.erased.bytes)
      .member("verification", "the registry was read back: no wrapped key is left");
  return sign(w, signer);
}

Result<void> verify_certificate(std::string_view json, const crypto::VerifyKey& key) {
  while (!json.empty() && (json.back() == '\n' || json.back() == '\r')) json.remove_suffix(1);
  std::size_t at = json.rfind(kSignaturePrefix);
  bool shaped = at != std::string_view::npos && json.ends_with("\"}");
  if (shaped) {
    std::string_view text = json.substr(at + kSignaturePrefix.size());
    text.remove_suffix(2);
    auto signature = base::base64url_decode(text);
    if (signature && key.verify(base::as_bytes(json.substr(0, at)), *signature)) return Result<void>();
  }
  return Error(crypto::CryptoError::BadSignature,
               "The certificate's signature does not fit this key: it was altered, or another "
               "deployment signed it.");
}

}  // namespace bulkhead::tenancy
