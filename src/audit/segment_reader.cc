#include "audit/segment_reader.h"

#include "audit/chain.h"

namespace bulkhead::audit {

SegmentReader::SegmentReader(const std::filesystem::path& path) : in_(path, std::ios::binary) {}

std::optional<std::string> SegmentReader::next() {
  std::string line;
  for (int c = in_.get(); c != std::ifstream::traits_type::eof(); c = in_.get()) {
    if (c == '\n') {
      whole_bytes_ += line.size() + 1;
      return line;
    }
    if (line.size() >= kLineBytesMax) {
      too_long_ = true;
      return std::nullopt;
    }
    line.push_back(static_cast<char>(c));
  }
  torn_ = !line.empty();
  return std::nullopt;
}

}  // namespace bulkhead::audit
