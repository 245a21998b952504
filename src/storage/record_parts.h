// Several texts as one, to be sealed together: each preceded by its length (4 bytes, little endian).
// Any bytes can stand in a part.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace bulkhead::storage {

base::Bytes pack_parts(std::initializer_list<std::string_view> parts);
// Corrupt unless exactly `count` parts fill `packed`. `what` is for the message.
base::Result<std::vector<std::string>> unpack_parts(base::ByteView packed, std::size_t count,
                                                    std::string_view what);

}  // namespace bulkhead::storage
