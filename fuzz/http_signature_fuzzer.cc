// Message signatures with hostile headers: "Signature-Input, LF, Signature, LF, x-bulkhead-tenant,
// LF, body". Without the key no such message verifies, however its fields are laid out; a message of
// our own signer verifies once, and not with any of its parts replaced by the hostile ones.
#include "base/bytes.h"
#include "check.h"
#include "http/detail/signature_base.h"
#include "http/detail/syntax.h"
#include "http/message_signature.h"

namespace {

using namespace bulkhead::http;
using bulkhead::base::Secret;
using bulkhead::fuzz::require;

Secret key() { return Secret::copy_of(bulkhead::base::as_bytes("0123456789abcdef0123456789abcdef")); }

Request request(std::string_view tenant, std::string_view body) {
  Request out;
  out.method = Method::Post;
  out.target = "/v1/chat/completions";
  out.path = out.target;
  out.headers.set("x-bulkhead-tenant", tenant);
  out.body = body;
  return out;
}

void refuse(MessageVerifier& verifier, const Request& message, const char* what) {
  auto verified = verifier.verify(message);
  require(!verified, what);
  bulkhead::fuzz::require_told(verified.error());
}

void check_fields(std::string_view input_field, std::string_view signature_field) {
  auto input = detail::parse_signature_input(input_field);
  if (input) {
    // What was understood, written again, is what was received: nothing is read past.
    std::string again = std::string(detail::kSignatureLabel) + "=" +
                        detail::component_list(input->components) + input->parameters;
    require(again == input_field, "a Signature-Input has one reading");
  }
  auto bytes = detail::parse_byte_sequence(signature_field, detail::kSignatureLabel);
  if (bytes) {
    std::string again = std::string(detail::kSignatureLabel) +
                        "=:" + bulkhead::base::base64_encode(bulkhead::base::as_bytes(*bytes)) + ":";
    require(again == signature_field, "a signature has one spelling");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view body = bulkhead::fuzz::text_of(data, size);
  std::string_view input = bulkhead::fuzz::take_line(body);
  std::string_view signature = bulkhead::fuzz::take_line(body);
  std::string_view tenant = bulkhead::fuzz::take_line(body);
  check_fields(input, signature);

  bulkhead::base::ManualClock clock;
  MessageSigner signer(key(), "gateway", clock);
  MessageVerifier verifier(key(), "gateway", clock);

  Request forged = request(tenant, body);
  forged.headers.set("signature-input", input);
  forged.headers.set("signature", signature);
  refuse(verifier, forged, "no message verifies without the key");
  Request digested = request(tenant, body);
  signer.sign(digested);
  Request with_digest = forged;
  with_digest.headers.set("content-digest", *digested.headers.single("content-digest"));
  refuse(verifier, with_digest, "a right digest alone proves nothing");

  Request good = request("hospital", "{}");
  signer.sign(good);
  if (tenant != "hospital") {
    Request other = good;
    other.headers.set("x-bulkhead-tenant", tenant);
    refuse(verifier, other, "another tenant's name does not verify");
  }
  if (body != "{}") {
    Request other = good;
    other.body = body;
    refuse(verifier, other, "another body does not verify");
  }
  if (signature != *good.headers.single("signature")) {
    Request other = good;
    other.headers.set("signature", signature);
    refuse(verifier, other, "another signature does not verify");
  }
  if (input != *good.headers.single("signature-input")) {
    Request other = good;
    other.headers.set("signature-input", input);
    refuse(verifier, other, "other covered components do not verify");
  }
  require(verifier.verify(good).ok(), "a signed message verifies");
  refuse(verifier, good, "a message verifies once");

  // A hostile value inside a signed message stays a value.
  if (detail::is_field_value(tenant)) {
    Request hostile = request(tenant, body);
    signer.sign(hostile);
    require(verifier.verify(hostile).ok(), "a signed message verifies whatever it carries");
  }
  return 0;
}
