#include "storage/record_parts.h"

#include "storage/record_json.h"

namespace bulkhead::storage {

base::Bytes pack_parts(std::initializer_list<std::string_view> parts) {
  std::size_t total = 0;
  for (std::string_view part : parts) total += 4 + part.size();
  base::Bytes out;
  out.reserve(total);
  for (std::string_view part : parts) {
    const auto size = static_cast<std::uint32_t>(part.size());
    for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<std::uint8_t>(size >> shift));
    out.insert(out.end(), part.begin(), part.end());
  }
  return out;
}

base::Result<std::vector<std::string>> unpack_parts(base::ByteView packed, std::size_t count,
                                                    std::string_view what) {
  std::vector<std::string> parts;
  while (parts.size() < count) {
    if (packed.size() < 4) return damaged(what);
    std::uint32_t size = 0;
    for (std::size_t i = 0; i < 4; ++i) size |= static_cast<std::uint32_t>(packed[i]) << (8 * i);
    packed = packed.subspan(4);
    if (size > packed.size()) return damaged(what);
    parts.emplace_back(base::as_text(packed.first(size)));
    packed = packed.subspan(size);
  }
  if (!packed.empty()) return damaged(what);
  return parts;
}

}  // namespace bulkhead::storage
