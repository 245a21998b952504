// Input that is a zip goes in as it is; anything else becomes the main part of a sound one.
#include <cstddef>
#include <cstdint>
#include <string>

#include "extract_check.h"
#include "zip_parts.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead::extract;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  std::string bytes =
      input.starts_with("PK") ? std::string(input) : zip_parts({{"word/document.xml", input}});
  check_answer(extract_docx(bytes, small_limits()), small_limits());
  return 0;
}
