#include "identity/user_id.h"

#include <algorithm>

namespace bulkhead::identity {

namespace {

constexpr char kUnitSeparator = '\x1F';
constexpr char kMark = '#';
constexpr std::string_view kNobodysMark = "?#";
constexpr std::size_t kSubjectBytesMax = 255;

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

}  // namespace

std::string user_id(std::string_view issuer, std::string_view subject) {
  if (subject.empty()) return {};
  std::string id(issuer);
  id += kUnitSeparator;
  id += subject;
  return id;
}

std::optional<UserParts> user_parts(std::string_view id) {
  const std::size_t at = id.find(kUnitSeparator);
  if (at == std::string_view::npos) return std::nullopt;
  return UserParts{id.substr(0, at), id.substr(at + 1)};
}

bool is_whole_user_name(std::string_view name) {
  // An issuer is a URL without a fragment (OpenID Connect Discovery 1.0, section 3), so the first '#' ends
  // it.
  const bool url = name.starts_with("https://") || name.starts_with("http://");
  return name.starts_with(kMark) || (url && name.find(kMark) != std::string_view::npos);
}

std::string whole_user_name(std::string_view id) {
  if (id.empty()) return {};
  const auto parts = user_parts(id);
  if (!parts) return std::string(kNobodysMark) + std::string(id);
  return std::string(parts->issuer) + kMark + std::string(parts->subject);
}

std::string user_name(std::string_view id, std::string_view own_issuer) {
  const auto parts = user_parts(id);
  const bool plain = parts && parts->issuer == own_issuer && !is_whole_user_name(parts->subject) &&
                     !parts->subject.starts_with(kNobodysMark);
  return plain ? std::string(parts->subject) : whole_user_name(id);
}

std::optional<std::string> user_id_from_name(std::string_view name, std::string_view own_issuer) {
  if (name.empty() || name.size() > kUserNameBytesMax || has_control(name)) return std::nullopt;
  if (name.starts_with(kNobodysMark)) return std::nullopt;
  const std::size_t mark = is_whole_user_name(name) ? name.find(kMark) : std::string_view::npos;
  const std::string_view issuer = mark == std::string_view::npos ? own_issuer : name.substr(0, mark);
  const std::string_view subject = mark == std::string_view::npos ? name : name.substr(mark + 1);
  if (subject.empty() || subject.size() > kSubjectBytesMax) return std::nullopt;
  return user_id(issuer, subject);
}

}  // namespace bulkhead::identity
