#include "audit/reserve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace bulkhead::audit {

namespace {

// What is given back at once, so that a full disk does not cost two system calls a record.
constexpr std::uint64_t kPieceBytes = 256 << 10;

}  // namespace

DiskReserve::DiskReserve(std::filesystem::path file, std::uint64_t bytes)
    : file_(std::move(file)), bytes_(bytes) {}

DiskReserve::~DiskReserve() {
  if (fd_ >= 0) ::close(fd_);
}

// What an earlier process left of it is not given away before there is room for the whole.
bool DiskReserve::open() {
  fd_ = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  struct stat there{};
  if (fd_ < 0 || ::fstat(fd_, &there) != 0) return false;
  held_ = std::min(bytes_, static_cast<std::uint64_t>(there.st_size));
  return true;
}

bool DiskReserve::fill() {
  if (fd_ >= 0 && whole()) return true;
  if (bytes_ == 0) return true;
  if (fd_ < 0 && !open()) return false;
  // What an earlier start was told to keep may have been more.
  if (::posix_fallocate(fd_, 0, static_cast<off_t>(bytes_)) != 0 ||
      ::ftruncate(fd_, static_cast<off_t>(bytes_)) != 0) {
    static_cast<void>(::ftruncate(fd_, static_cast<off_t>(held_)) == 0);  // blocks taken half-way
    return false;
  }
  held_ = bytes_;
  return true;
}

bool DiskReserve::spend(std::uint64_t bytes) {
  if (held_ == 0) return false;
  const std::uint64_t left = held_ - std::min(held_, std::max(bytes, kPieceBytes));
  if (::ftruncate(fd_, static_cast<off_t>(left)) != 0) return false;
  held_ = left;
  return true;
}

}  // namespace bulkhead::audit
