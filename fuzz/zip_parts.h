// A sound zip around the fuzzer's bytes, so that it reaches the XML without having to get checksums right.
#pragma once

#include <zip.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bulkhead::extract {

// The parts' bytes outlive the call. Nothing is compressed.
inline std::string zip_parts(const std::vector<std::pair<std::string, std::string_view>>& parts) {
  zip_source_t* target = zip_source_buffer_create(nullptr, 0, 0, nullptr);
  zip_source_keep(target);
  zip_t* archive = zip_open_from_source(target, ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  for (const auto& [name, part] : parts) {
    auto at = zip_file_add(archive, name.c_str(), zip_source_buffer(archive, part.data(), part.size(), 0), 0);
    zip_set_file_compression(archive, static_cast<zip_uint64_t>(at), ZIP_CM_STORE, 0);
  }
  zip_close(archive);
  zip_stat_t info;
  zip_source_stat(target, &info);
  std::string bytes(info.size, '\0');
  zip_source_open(target);
  zip_source_read(target, bytes.data(), bytes.size());
  zip_source_close(target);
  zip_source_free(target);
  return bytes;
}

}  // namespace bulkhead::extract
