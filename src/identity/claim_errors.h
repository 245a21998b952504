// Errors about one claim: the caller and the audit log get its name, the operator what was expected. Included
// by identity's readers of claims alone.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "identity/error.h"

namespace bulkhead::identity {

inline base::Error claim_invalid(std::string_view claim, std::string expected) {
  return base::Error(IdentityError::ClaimInvalid,
                     "The token's claim " + std::string(claim) + " is not acceptable here.",
                     std::move(expected))
      .with_parameter(std::string(claim));
}

inline base::Error claim_missing(std::string_view claim, std::string expected = {}) {
  return base::Error(IdentityError::ClaimMissing,
                     "The token lacks a claim that is needed: " + std::string(claim) + ".",
                     std::move(expected))
      .with_parameter(std::string(claim));
}

inline bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

// "one of: a, b", for operators.
inline std::string one_of(const std::vector<std::string>& names) {
  std::string text = "one of:";
  for (const std::string& name : names) text += (text.ends_with(':') ? " " : ", ") + name;
  return text;
}

}  // namespace bulkhead::identity
