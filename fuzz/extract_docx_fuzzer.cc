// Input that is a zip goes in as it is; anything else becomes the main part of a sound one, so that the
// fuzzer reaches the XML without having to get checksums right.
#include <zip.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "extract_check.h"

namespace {

std::string zip_around(std::string_view part) {
  zip_source_t* target = zip_source_buffer_create(nullptr, 0, 0, nullptr);
  zip_source_keep(target);
  zip_t* archive = zip_open_from_source(target, ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  auto at =
      zip_file_add(archive, "word/document.xml", zip_source_buffer(archive, part.data(), part.size(), 0), 0);
  zip_set_file_compression(archive, static_cast<zip_uint64_t>(at), ZIP_CM_STORE, 0);
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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead::extract;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  std::string bytes = input.starts_with("PK") ? std::string(input) : zip_around(input);
  check_answer(extract_docx(bytes, small_limits()), small_limits());
  return 0;
}
