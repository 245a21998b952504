// Who a user is: an issuer and a subject of its. A subject alone is no name of anybody: "sub" is unique
// within its issuer only (OpenID Connect Core 1.0, section 2; RFC 7519, section 4.1.2).
//
// Three forms:
//   user id       what is stored, compared, counted and hashed: issuer, unit separator (0x1F), subject.
//   Neither part
//                 can hold a control character, so two users never have one id. The issuer is empty for a
//                 local user, whom API keys of no issuer's user name.
//   user name     what the API shows and takes. `lena` is the caller's own issuer's;
//   `https://idp.example#lena` is
//                 whole and means the same to every caller; `#lena` is a local user.
//   earlier name  what records hold that were written before users had issuers: the subject alone. Whose it
//   is says
//                 identity/user_names.h; shown as `?#lena` as long as it is nobody's.
//
// Plain functions; thread safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::identity {

// Of a name as the API takes it: an issuer, '#' and a subject of at most 255 bytes.
inline constexpr std::size_t kUserNameBytesMax = 1'024;

// "" for an empty subject: nobody.
std::string user_id(std::string_view issuer, std::string_view subject);

struct UserParts {
  std::string_view issuer, subject;  // point into the id
};
// Nothing: an earlier name.
std::optional<UserParts> user_parts(std::string_view id);

// The id's whole name, the same for every caller; `?#…` for an earlier name.
std::string whole_user_name(std::string_view id);
// The id's name for a caller of `own_issuer`: the subject alone where that means the same user to them.
std::string user_name(std::string_view id, std::string_view own_issuer);
// The id that a caller of `own_issuer` means. Nothing: no name of anybody (empty, too long, with a control
// character, or an earlier name that is nobody's).
std::optional<std::string> user_id_from_name(std::string_view name, std::string_view own_issuer);
// Whether the name says its issuer itself.
bool is_whole_user_name(std::string_view name);

}  // namespace bulkhead::identity
