// Raised text as it must be read: "10" with a raised "9" is 10⁹, never 109.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead::extract {

// Digits and signs as their superscript characters; other text as it is.
std::string superscript(std::string_view utf8);

}  // namespace bulkhead::extract
