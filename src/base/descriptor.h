// Descriptor: owns one file descriptor and closes it at the end of its life.
//
// Thread safety: none of its own; the kernel's for what is done with `get()`.
#pragma once

#include <unistd.h>

#include <utility>

namespace bulkhead::base {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}  // a negative one is none
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  // Keeps errno, so that it can end a failing path.
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

}  // namespace bulkhead::base
