#include "http/message_signature.h"

#include <algorithm>
#include <deque>
#include <mutex>
#include <unordered_set>
#include <utility>

#include "crypto/hash.h"
#include "crypto/random.h"
#include "http/detail/signature_base.h"

namespace bulkhead::http {

namespace {

constexpr std::int64_t kLifeSeconds = 30;
constexpr std::int64_t kClockSkewSeconds = 5;
constexpr std::size_t kNonceBytes = 16;
constexpr std::size_t kNonceTextMax = 64;
constexpr std::string_view kAlgorithm = "hmac-sha256";
constexpr std::string_view kFixedComponents[] = {"@method", "@path", "@query", "content-digest"};

std::string content_digest(std::string_view body) {
  return "sha-256=:" + base::base64_encode(crypto::sha256(body)) + ":";
}

// RFC 9421 section 2.2.6 and 2.2.7, from the target as it is on the wire.
std::string path_of(std::string_view target) { return std::string(target.substr(0, target.find('?'))); }
std::string query_of(std::string_view target) {
  const std::size_t mark = target.find('?');
  return mark == std::string_view::npos ? "?" : std::string(target.substr(mark));
}

bool is_bulkhead_header(std::string_view name) { return name.starts_with(kSignedHeaderPrefix); }

// The value of a component, or nothing when the message has none or several.
std::optional<std::string> component_value(const Request& request, std::string_view name) {
  if (name == "@method") return std::string(method_name(request.method));
  if (name == "@path") return path_of(request.target);
  if (name == "@query") return query_of(request.target);
  if (name != "content-digest" && !is_bulkhead_header(name)) return std::nullopt;
  const auto value = request.headers.single(name);
  if (!value) return std::nullopt;
  return std::string(*value);
}

std::string mac(const base::Secret& key, std::string_view text) {
  const crypto::Digest digest = crypto::hmac_sha256(key.reveal(), base::as_bytes(text));
  return std::string(base::as_text(digest));
}

base::Error refused(HttpError code, std::string detail) {
  return base::Error(code, "The message between services is not signed as it must be.", std::move(detail));
}

}  // namespace

MessageSigner::MessageSigner(base::Secret key, std::string key_id, const base::Clock& clock)
    : key_(std::move(key)), key_id_(std::move(key_id)), clock_(clock) {}

void MessageSigner::sign(Request& request) const {
  request.headers.set("content-digest", content_digest(request.body));
  request.headers.remove("signature");
  request.headers.remove("signature-input");
  std::vector<std::string> names(std::begin(kFixedComponents), std::end(kFixedComponents));
  for (const auto& [name, value] : request.headers.all()) {
    if (is_bulkhead_header(name)) names.emplace_back(name);
  }
  std::vector<detail::Component> components;
  for (const std::string& name : names) {
    // A repeated header has no single value; it signs as empty and is refused by every receiver.
    components.emplace_back(name, component_value(request, name).value_or(std::string()));
  }
  const std::int64_t created = clock_.unix_seconds();
  const std::string parameters = ";created=" + std::to_string(created) +
                                 ";expires=" + std::to_string(created + kLifeSeconds) + ";nonce=\"" +
                                 base::base64url_encode(crypto::random_bytes(kNonceBytes)) + "\";keyid=\"" +
                                 key_id_ + "\";alg=\"" + std::string(kAlgorithm) + "\"";
  const std::string signature = mac(key_, detail::signature_base(components, parameters));
  const std::string label(detail::kSignatureLabel);
  request.headers.set("signature-input", label + "=" + detail::component_list(names) + parameters);
  request.headers.set("signature", label + "=:" + base::base64_encode(base::as_bytes(signature)) + ":");
}

struct MessageVerifier::Impl {
  Impl(base::Secret key_in, std::string key_id_in, const base::Clock& clock_in, std::size_t max)
      : key(std::move(key_in)), key_id(std::move(key_id_in)), clock(clock_in), nonces_max(max) {}

  base::Result<void> check_signature(const Request& request, const detail::SignatureInput& input);
  base::Result<void> remember(const std::string& nonce, std::int64_t now);

  const base::Secret key;
  const std::string key_id;
  const base::Clock& clock;
  const std::size_t nonces_max;
  std::mutex mutex;
  std::unordered_set<std::string> nonces;
  // In the order of arrival; all are kept equally long, so the oldest is always in front.
  std::deque<std::pair<std::int64_t, std::string>> forget_at;
};

MessageVerifier::MessageVerifier(base::Secret key, std::string key_id, const base::Clock& clock,
                                 std::size_t nonces_max)
    : impl_(std::make_unique<Impl>(std::move(key), std::move(key_id), clock, nonces_max)) {}
MessageVerifier::~MessageVerifier() = default;

base::Result<void> MessageVerifier::Impl::check_signature(const Request& request,
                                                          const detail::SignatureInput& input) {
  const auto covered = [&input](std::string_view name) {
    return std::find(input.components.begin(), input.components.end(), name) != input.components.end();
  };
  for (std::string_view name : kFixedComponents) {
    if (!covered(name)) {
      return refused(HttpError::SignatureInvalid, std::string(name) + " is not covered");
    }
  }
  for (const auto& [name, value] : request.headers.all()) {
    if (is_bulkhead_header(name) && !covered(name)) {
      return refused(HttpError::SignatureInvalid, "an x-bulkhead- header is not covered");
    }
  }
  std::vector<detail::Component> components;
  for (const std::string& name : input.components) {
    auto value = component_value(request, name);
    if (!value) {
      return refused(HttpError::SignatureInvalid, "a covered component is absent or repeated");
    }
    components.emplace_back(name, std::move(*value));
  }
  const auto given_field = request.headers.single("signature");
  const auto given =
      given_field ? detail::parse_byte_sequence(*given_field, detail::kSignatureLabel) : std::nullopt;
  if (!given) return refused(HttpError::SignatureInvalid, "no well-formed Signature");
  const std::string expected = mac(key, detail::signature_base(components, input.parameters));
  if (!base::equal_constant_time(base::as_bytes(expected), base::as_bytes(*given))) {
    return refused(HttpError::SignatureInvalid, "the signature does not match");
  }
  return {};
}

base::Result<void> MessageVerifier::Impl::remember(const std::string& nonce, std::int64_t now) {
  const std::lock_guard lock(mutex);
  while (!forget_at.empty() && forget_at.front().first < now) {
    nonces.erase(forget_at.front().second);
    forget_at.pop_front();
  }
  if (nonces.count(nonce) != 0) {
    return refused(HttpError::SignatureReplayed, "this nonce was used before");
  }
  if (nonces.size() >= nonces_max) {
    return refused(HttpError::SignatureReplayed, "the nonce memory is full");
  }
  nonces.insert(nonce);
  // A message is accepted until at most this long after we first saw it.
  forget_at.emplace_back(now + kLifeSeconds + 2 * kClockSkewSeconds, nonce);
  return {};
}

base::Result<void> MessageVerifier::verify(const Request& request) {
  const auto field = request.headers.single("signature-input");
  if (!field) return refused(HttpError::SignatureInvalid, "no Signature-Input, or several");
  const auto input = detail::parse_signature_input(*field);
  if (!input) return refused(HttpError::SignatureInvalid, "malformed Signature-Input");
  if (input->algorithm != kAlgorithm || input->key_id != impl_->key_id) {
    return refused(HttpError::SignatureInvalid, "unknown key or algorithm");
  }
  if (input->nonce.empty() || input->nonce.size() > kNonceTextMax) {
    return refused(HttpError::SignatureInvalid, "no usable nonce");
  }
  BULKHEAD_CHECK_OK(impl_->check_signature(request, *input));
  // From here on the message is from a holder of the key; what follows says whether it is the one
  // that was meant, and meant now.
  if (request.headers.single("content-digest") != content_digest(request.body)) {
    return refused(HttpError::DigestMismatch, "the body does not match its digest");
  }
  const std::int64_t now = impl_->clock.unix_seconds();
  if (input->created > now + kClockSkewSeconds || input->expires + kClockSkewSeconds < now ||
      input->expires < input->created || input->expires - input->created > kLifeSeconds) {
    return refused(HttpError::SignatureStale, "created or expires is out of range");
  }
  return impl_->remember(input->nonce, now);
}

}  // namespace bulkhead::http
