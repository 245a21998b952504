// The signature base of HTTP Message Signatures (RFC 9421 section 2.5) and the strict reading of the
// structured fields that carry a signature (RFC 8941, the subset that Bulkhead's messages use).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bulkhead::http::detail {

// A covered component: its identifier without quotes ("@method", "content-digest") and its value.
using Component = std::pair<std::string, std::string>;

// `parameters` is what follows the inner list: ";created=…;keyid=…".
std::string component_list(const std::vector<std::string>& names);  // ("a" "b")
std::string signature_base(const std::vector<Component>& components, std::string_view parameters);

// Signature-Input with exactly one member named "bulkhead".
struct SignatureInput {
  std::vector<std::string> components;
  std::string parameters;  // exactly as received
  std::int64_t created = 0;
  std::int64_t expires = 0;
  std::string nonce;
  std::string key_id;
  std::string algorithm;
};
inline constexpr std::string_view kSignatureLabel = "bulkhead";
// Nothing when malformed, when a parameter is missing, repeated or unknown, or when a component is
// repeated or carries parameters of its own.
std::optional<SignatureInput> parse_signature_input(std::string_view field);
// "<label>=:<base64>:" with nothing around it.
std::optional<std::string> parse_byte_sequence(std::string_view field, std::string_view label);

}  // namespace bulkhead::http::detail
