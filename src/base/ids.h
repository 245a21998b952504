// Typed identifiers: one type per kind of thing, so that a file id can't be passed for a tenant's.
//
// An id that came from outside is made by `parse`, which bounds its length and alphabet; so an Id
// is always safe to put into a file name, a log line, a header or a URL path.
#pragma once

#include <compare>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::base {

inline constexpr std::size_t kIdBytesMax = 96;

// [A-Za-z0-9][A-Za-z0-9._-]{0,95}
bool is_identifier(std::string_view text);
// [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])? : a DNS label, so that it also fits a role or schema name.
bool is_tenant_name(std::string_view text);

template <typename Tag>
class Id {
 public:
  static std::optional<Id> parse(std::string_view text) {
    if (!Tag::valid(text)) return std::nullopt;
    return Id(std::string(text));
  }
  // Makes "<prefix><random>", for example "file-k3v…"; `random` is 128 bits or more of base32.
  static Id make(std::string_view random) { return Id(std::string(Tag::prefix) + std::string(random)); }

  const std::string& str() const { return text_; }
  friend auto operator<=>(const Id&, const Id&) = default;

 private:
  explicit Id(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

struct AnyIdTag {
  static bool valid(std::string_view text) { return is_identifier(text); }
};
struct TenantTag {
  static constexpr std::string_view prefix = "";
  static bool valid(std::string_view text) { return is_tenant_name(text); }
};
struct FileTag : AnyIdTag {
  static constexpr std::string_view prefix = "file-";
};
struct VectorStoreTag : AnyIdTag {
  static constexpr std::string_view prefix = "vs_";
};
struct ChatTag : AnyIdTag {
  static constexpr std::string_view prefix = "chatcmpl-";
};
struct ApiKeyTag : AnyIdTag {
  static constexpr std::string_view prefix = "key_";
};
struct RequestTag : AnyIdTag {
  static constexpr std::string_view prefix = "req_";
};

using TenantId = Id<TenantTag>;
using FileId = Id<FileTag>;
using VectorStoreId = Id<VectorStoreTag>;
using ChatId = Id<ChatTag>;
using ApiKeyId = Id<ApiKeyTag>;
using RequestId = Id<RequestTag>;

}  // namespace bulkhead::base

template <typename Tag>
struct std::hash<bulkhead::base::Id<Tag>> {
  std::size_t operator()(const bulkhead::base::Id<Tag>& id) const noexcept {
    return std::hash<std::string>()(id.str());
  }
};
