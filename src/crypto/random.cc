#include "crypto/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

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

std::string random_id(unsigned bits) {
  static constexpr char kAlphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
  std::size_t digits = (bits + 4) / 5;
  base::Bytes bytes = random_bytes(digits);
  std::string id;
  id.reserve(digits);
  for (std::uint8_t byte : bytes) id += kAlphabet[byte & 31];
  return id;
}

}  // namespace bulkhead::crypto
