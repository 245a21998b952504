#include <cstddef>
#include <cstdint>
#include <string>

#include "extract/encoding.h"
#include "extract_check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead::extract;
  auto content = html_to_utf8({reinterpret_cast<const char*>(data), size});
  if (!content) return 0;
  check_answer(extract_html(*content, small_limits()), small_limits());
  return 0;
}
