#include "gateway/user_dto.h"

#include "gateway/api_error.h"
#include "identity/user_id.h"

namespace bulkhead::gateway {

using base::Result;

namespace {

base::Error nobodys_name(std::string parameter) {
  return api_error(
      ApiError::BadParameter,
      "'" + parameter +
          "' must name a user: a name of your own issuer, or <issuer>#<name>. A name that begins with "
          "'?#' is of a record from before users had issuers and names nobody.",
      parameter);
}

}  // namespace

Result<std::string> named_user(const Call& call, std::string_view name, std::string parameter) {
  auto id = identity::user_id_from_name(name, call.principal->user_issuer());
  if (!id) return nobodys_name(std::move(parameter));
  return std::move(*id);
}

Result<std::string> named_user_of(const Services& services, const base::TenantId& tenant,
                                  std::string_view name, std::string parameter) {
  const auto only = services.user_names.only_issuer(tenant);
  if (!only && !identity::is_whole_user_name(name)) {
    return api_error(ApiError::BadParameter,
                     "Several issuers may speak for this tenant: name the user as <issuer>#<name>.",
                     parameter);
  }
  auto id = identity::user_id_from_name(name, only.value_or(""));
  if (!id) return nobodys_name(std::move(parameter));
  return std::move(*id);
}

std::string current_user(const Call& call, std::string_view stored) {
  return call.services.user_names.current_id(call.scope().tenant(), stored);
}

std::string shown_user(const Call& call, std::string_view stored) {
  return identity::user_name(current_user(call, stored), call.principal->user_issuer());
}

}  // namespace bulkhead::gateway
