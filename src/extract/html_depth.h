// How deep a page's elements nest, told from its tags before a parser sees them.
#pragma once

#include <cstddef>
#include <string_view>

namespace bulkhead::extract {

// An estimate from above for elements that nest, in one pass over the page.
std::size_t deepest_elements(std::string_view page);

}  // namespace bulkhead::extract
