#include "base/descriptor.h"

#include <cerrno>

namespace bulkhead::base {

void Descriptor::reset(int fd) {
  const int before = std::exchange(fd_, fd);
  if (before < 0) return;
  const int reason = errno;
  ::close(before);
  errno = reason;
}

}  // namespace bulkhead::base
