#include "base/ids.h"

namespace bulkhead::base {

namespace {
bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_alphanumeric(char c) { return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z'); }
}  // namespace

bool is_identifier(std::string_view text) {
  if (text.empty() || text.size() > kIdBytesMax || !is_alphanumeric(text.front())) return false;
  for (char c : text) {
    if (!is_alphanumeric(c) && c != '.' && c != '_' && c != '-') return false;
  }
  return true;
}

bool is_tenant_name(std::string_view text) {
  if (text.empty() || text.size() > 63) return false;
  if (!is_lower_or_digit(text.front()) || !is_lower_or_digit(text.back())) return false;
  for (char c : text) {
    if (!is_lower_or_digit(c) && c != '-') return false;
  }
  return true;
}

}  // namespace bulkhead::base
