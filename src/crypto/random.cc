#include "crypto/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace bulkhead::crypto {

void random_fill(std::uint8_t* out, std::size_t bytes) {
  while (bytes > 0) {
    ssize_t got = ::getrandom(out, bytes, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      std::fputs("bulkhead: the kernel gave no random bytes\n", stderr);
      std::abort();
    }
    out += got;
    bytes -= static_cast<std::size_t>(got);
  }
}

base::Bytes random_bytes(std::size_t bytes) {
  base::Bytes out(bytes);
  random_fill(out.data(), bytes);
  return out;
}

base::Secret random_secret(std::size_t bytes) {
  base::Secret out(bytes);
  random_fill(out.writable(), bytes);
  return out;
}

namespace {

constexpr char kAlphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
constexpr unsigned kIdBits = 130;

// Fetched from the kernel many at a time; each byte is used once and then forgotten.
class IdBytes {
 public:
  std::uint8_t next() {
    if (used_ == sizeof bytes_) {
      random_fill(bytes_, sizeof bytes_);
      used_ = 0;
    }
    return std::exchange(bytes_[used_++], 0);
  }

 private:
  std::uint8_t bytes_[1024];
  std::size_t used_ = sizeof bytes_;
};

}  // namespace

std::string random_id(unsigned bits) {
  base::Bytes bytes = random_bytes((bits + 4) / 5);
  std::string id(bytes.size(), '\0');
  for (std::size_t i = 0; i < id.size(); ++i) id[i] = kAlphabet[bytes[i] & 31];
  return id;
}

std::string random_public_id() {
  thread_local IdBytes bytes;
  std::string id((kIdBits + 4) / 5, '\0');
  for (char& digit : id) digit = kAlphabet[bytes.next() & 31];
  return id;
}

}  // namespace bulkhead::crypto
