// Values of CSS properties, as far as they decide whether text is seen.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace bulkhead::extract {

// Winning values by property, lower case, white space folded.
using StyleValues = std::map<std::string, std::string, std::less<>>;

// True for properties that the functions below look at.
bool is_telling_property(std::string_view property);

// The element is out of sight whatever stands inside: not displayed, transparent, off the page, clipped away.
bool takes_out_of_sight(const StyleValues& values);

// "0", "0px", "0.0em".
bool is_zero(std::string_view value);

// A size that doesn't depend on the parent's.
bool is_absolute_size(std::string_view value);

// "#rrggbb" for hexadecimal, rgb() and the commonest names; "transparent"; other names as they are; empty
// for what is no single colour.
std::string normal_color(std::string_view value);

}  // namespace bulkhead::extract
