#include <cstddef>
#include <cstdint>

#include "extract_check.h"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  bulkhead::extract::prepare_pdf();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead::extract;
  check_answer(extract_pdf({reinterpret_cast<const char*>(data), size}, small_limits()), small_limits());
  return 0;
}
