// Reads a segment line by line with bounded memory. Blocking.
#pragma once

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

namespace bulkhead::audit {

class SegmentReader {
 public:
  explicit SegmentReader(const std::filesystem::path& path);
  bool opened() const { return in_.is_open(); }
  // The next line without its newline. Nothing at the end; `torn()` then says whether bytes without
  // a newline stand there (a write cut short by a crash), `too_long()` whether a line was over the
  // bound.
  std::optional<std::string> next();
  bool torn() const { return torn_; }
  bool too_long() const { return too_long_; }
  // Bytes of whole lines read so far.
  std::uint64_t whole_bytes() const { return whole_bytes_; }

 private:
  std::ifstream in_;
  bool torn_ = false;
  bool too_long_ = false;
  std::uint64_t whole_bytes_ = 0;
};

}  // namespace bulkhead::audit
