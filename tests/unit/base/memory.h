// Looks for bytes in this process's own memory, as an attacker with a dump would.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BULKHEAD_TEST_NO_MEMORY_SCAN 1  // terabytes of shadow memory, and an allocator that keeps
#endif
#endif

namespace bulkhead::test {

// Texts to look for exist only masked, so that the search doesn't find its own needle.
constexpr unsigned char kMask = 0x5A;

inline std::string masked(std::string text) {
  for (char& c : text) c = static_cast<char>(c ^ kMask);
  return text;
}
inline void unmask_into(char* out, std::string_view needle) {
  for (char c : needle) *out++ = static_cast<char>(c ^ kMask);
}

// How often the text whose masked form is `needle` stands in this process's writable memory.
inline std::size_t occurrences(std::string_view needle) {
  static unsigned char piece[1 << 20];
  const auto own = reinterpret_cast<std::uintptr_t>(piece);
  std::vector<std::pair<std::uintptr_t, std::uintptr_t>> ranges;
  std::FILE* maps = std::fopen("/proc/self/maps", "r");
  char line[512];
  while (maps && std::fgets(line, sizeof line, maps)) {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    char mode[5] = {};
    if (std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &begin, &end, mode) != 3) continue;
    if (mode[0] == 'r' && mode[1] == 'w') ranges.emplace_back(begin, end);
  }
  if (maps) std::fclose(maps);

  int fd = ::open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  std::size_t found = 0;
  for (auto [begin, end] : ranges) {
    for (std::uintptr_t at = begin; at < end;) {
      ssize_t got = ::pread(fd, piece, std::min<std::size_t>(sizeof piece, end - at), static_cast<off_t>(at));
      if (got < static_cast<ssize_t>(needle.size())) break;
      auto size = static_cast<std::size_t>(got);
      for (std::size_t i = 0; i + needle.size() <= size; ++i) {
        if (at + i >= own && at + i < own + sizeof piece) continue;
        std::size_t k = 0;
        while (k < needle.size() && (piece[i + k] ^ kMask) == static_cast<unsigned char>(needle[k])) ++k;
        if (k == needle.size()) ++found;
      }
      if (at + size >= end) break;
      at += size - needle.size() + 1;  // a hit may straddle two pieces
    }
  }
  ::close(fd);
  explicit_bzero(piece, sizeof piece);
  return found;
}

}  // namespace bulkhead::test
