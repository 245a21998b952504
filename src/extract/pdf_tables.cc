// poppler's tables of character codes (package poppler-data), for fonts that name a CMap instead of
// bringing one. poppler opens them when a document asks, which the sandbox refuses. So they are mapped
// before it, and poppler's function that opens a file, which this one replaces, gives what is mapped.
#include <fcntl.h>
#include <goo/gfile.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <system_error>

#include "extract/pdf_device.h"

namespace bulkhead::extract {

namespace {

constexpr std::string_view kFolder = "/usr/share/poppler";
constexpr std::size_t kFilesMax = 2'000;
constexpr std::size_t kFileBytesMax = 16u << 20;

// By path. Mapped for the process's life; pages are read when they are looked at.
std::map<std::string, std::string_view>& tables() {
  static std::map<std::string, std::string_view> mapped;
  return mapped;
}

std::string_view map_file(const char* path) {
  int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  struct stat info{};
  void* at = MAP_FAILED;
  bool fits = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0 &&
              static_cast<std::size_t>(info.st_size) <= kFileBytesMax;
  if (fits) at = ::mmap(nullptr, static_cast<std::size_t>(info.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
  ::close(fd);
  if (at == MAP_FAILED) return {};
  return {static_cast<const char*>(at), static_cast<std::size_t>(info.st_size)};
}

}  // namespace

void map_pdf_tables() {
  if (!tables().empty()) return;
  std::error_code error;
  std::filesystem::recursive_directory_iterator files(kFolder, error);
  for (; !error && files != std::filesystem::recursive_directory_iterator(); files.increment(error)) {
    if (tables().size() >= kFilesMax || files->is_directory(error)) continue;
    std::string_view content = map_file(files->path().c_str());
    if (!content.empty()) tables().emplace(files->path().string(), content);
  }
}

}  // namespace bulkhead::extract

// Replaces poppler's own, which its library looks up by this name. A test in the sandbox fails when a
// release of poppler no longer does.
FILE* openFile(const char* path, const char* mode) {
  auto found = bulkhead::extract::tables().find(path);
  bool reads = std::string_view(mode).starts_with('r');
  if (found == bulkhead::extract::tables().end() || !reads) return ::fopen(path, mode);
  // fmemopen writes to nothing that is opened for reading.
  return ::fmemopen(const_cast<char*>(found->second.data()), found->second.size(), "r");
}
