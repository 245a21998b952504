// DiskReserve: space on the log's disk that is taken while there is plenty and given back, a piece at a
// time, when a record that must be written meets a full disk (ENOSPC, EDQUOT).
//
// A file of allocated blocks, so that it holds against whatever else fills the disk. While it is not whole,
// the log writes only what may use it (record.h: may_use_reserve). Not thread safe: the writer's own.
#pragma once

#include <cstdint>
#include <filesystem>

namespace bulkhead::audit {

class DiskReserve {
 public:
  // `bytes` 0: no reserve; then it is always whole and never has anything to give.
  DiskReserve(std::filesystem::path file, std::uint64_t bytes);
  ~DiskReserve();
  DiskReserve(const DiskReserve&) = delete;

  // Takes what is missing from the disk again. False when there is no room for it.
  bool fill();
  bool whole() const { return held_ == bytes_; }
  // Gives at least `bytes` back to the disk. False when nothing is left.
  bool spend(std::uint64_t bytes);
  std::uint64_t held() const { return held_; }

 private:
  bool open();
  const std::filesystem::path file_;
  const std::uint64_t bytes_;
  std::uint64_t held_ = 0;
  int fd_ = -1;
};

}  // namespace bulkhead::audit
