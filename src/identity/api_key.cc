#include "identity/api_key.h"

#include <array>
#include <mutex>

#include "crypto/random.h"

namespace bulkhead::identity {

namespace {

constexpr std::string_view kPrefix = "bhk_";
constexpr std::string_view kOperatorPart = "-operator-";
constexpr unsigned kSecretBits = 160;
constexpr unsigned kIdBits = 80;
constexpr std::size_t kTagBytes = 10;
constexpr std::size_t kTextBytesMax = 256;
constexpr std::size_t kParts = 5;  // bhk, tenant, id, secret, tag

std::string tag_of(const base::Secret& key, std::string_view head) {
  crypto::Digest digest = crypto::hmac_sha256(key.reveal(), base::as_bytes(head));
  return base::hex_encode(base::ByteView(digest).first(kTagBytes));
}

std::optional<std::array<std::string_view, kParts>> split(std::string_view text) {
  std::array<std::string_view, kParts> parts;
  for (std::size_t i = 0; i < kParts; ++i) {
    std::size_t at = text.find('_');
    bool last = i + 1 == kParts;
    if ((at == std::string_view::npos) != last) return std::nullopt;
    parts[i] = text.substr(0, at);
    if (!last) text.remove_prefix(at + 1);
  }
  return parts;
}

}  // namespace

void AdoptedApiKeys::set(const base::TenantId& tenant, const std::vector<base::ApiKeyId>& ids) {
  std::unique_lock lock(mutex_);
  by_tenant_.erase(tenant);
  if (!ids.empty()) by_tenant_.emplace(tenant, std::set<base::ApiKeyId>(ids.begin(), ids.end()));
}

bool AdoptedApiKeys::holds(const base::TenantId& tenant, const base::ApiKeyId& id) const {
  std::shared_lock lock(mutex_);
  const auto found = by_tenant_.find(tenant);
  return found != by_tenant_.end() && found->second.contains(id);
}

std::string ApiKeyFormat::visible_prefix(const std::optional<base::TenantId>& tenant,
                                         const base::ApiKeyId& id) {
  const std::string& outside = id.str();
  return std::string(kPrefix) + (tenant ? tenant->str() : std::string(kOperatorPart)) + "_" +
         outside.substr(outside.find('_') + 1) + "_";
}

// Ids inside a key text have no underscore: "key_" is the prefix of the id outside of it.
ApiKeyFormat::NewKey ApiKeyFormat::make(const std::optional<base::TenantId>& tenant) const {
  std::string id = crypto::random_id(kIdBits);
  std::string head = std::string(kPrefix) + (tenant ? tenant->str() : std::string(kOperatorPart)) + "_" + id +
                     "_" + crypto::random_id(kSecretBits);
  std::string text = head + "_" + tag_of(tag_key_, head);
  NewKey key{base::ApiKeyId::make(id), base::Secret::copy_of(text)};
  base::wipe(head);
  base::wipe(text);
  return key;
}

std::optional<ParsedApiKey> ApiKeyFormat::parse(std::string_view text) const {
  if (text.size() > kTextBytesMax || !text.starts_with(kPrefix)) return std::nullopt;
  auto parts = split(text);
  if (!parts) return std::nullopt;
  std::string_view head = text.substr(0, text.rfind('_'));
  std::string expected = tag_of(tag_key_, head);
  const bool tagged = base::equal_constant_time(base::as_bytes(expected), base::as_bytes((*parts)[4]));
  if (!tagged && !adopted_) return std::nullopt;
  auto id = base::ApiKeyId::parse("key_" + std::string((*parts)[2]));
  if (!id) return std::nullopt;
  if ((*parts)[1] == kOperatorPart) {
    if (!tagged) return std::nullopt;
    return ParsedApiKey{std::nullopt, std::move(*id)};
  }
  auto tenant = base::TenantId::parse((*parts)[1]);
  if (!tenant || (!tagged && !adopted_->holds(*tenant, *id))) return std::nullopt;
  return ParsedApiKey{std::move(*tenant), std::move(*id)};
}

crypto::Digest api_key_hash(const base::Secret& hash_key, std::string_view key_text) {
  return crypto::hmac_sha256(hash_key.reveal(), base::as_bytes(key_text));
}

}  // namespace bulkhead::identity
