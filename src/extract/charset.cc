#include "extract/charset.h"

#include <unicode/ucnv.h>

#include <memory>

namespace bulkhead::extract {

namespace {

constexpr std::size_t kNameBytesMax = 40;

struct Close {
  void operator()(UConverter* converter) const { ucnv_close(converter); }
};

}  // namespace

std::optional<std::string> decode_charset(std::string_view bytes, std::string_view charset) {
  if (charset.empty() || charset.size() > kNameBytesMax) return std::nullopt;
  UErrorCode status = U_ZERO_ERROR;
  std::unique_ptr<UConverter, Close> from(ucnv_open(std::string(charset).c_str(), &status));
  std::unique_ptr<UConverter, Close> to(ucnv_open("UTF-8", &status));
  if (U_FAILURE(status)) return std::nullopt;
  std::string out;
  std::string chunk(16 << 10, '\0');
  UChar pivot[1024];
  UChar *pivot_source = pivot, *pivot_target = pivot;
  const char* source = bytes.data();
  bool reset = true;
  do {
    status = U_ZERO_ERROR;
    char* target = chunk.data();
    ucnv_convertEx(to.get(), from.get(), &target, chunk.data() + chunk.size(), &source,
                   bytes.data() + bytes.size(), pivot, &pivot_source, &pivot_target, pivot + 1024, reset,
                   true, &status);
    reset = false;
    out.append(chunk.data(), target);
  } while (status == U_BUFFER_OVERFLOW_ERROR);
  if (U_FAILURE(status)) return std::nullopt;
  return out;
}

std::string decode_code_page(std::string_view bytes, int code_page) {
  std::string name = code_page == 10'000                        ? "macintosh"
                     : code_page == 65'001                      ? "UTF-8"
                     : code_page >= 1'250 && code_page <= 1'258 ? "windows-" + std::to_string(code_page)
                                                                : "cp" + std::to_string(code_page);
  if (auto text = decode_charset(bytes, name)) return *text;
  return decode_charset(bytes, "windows-1252").value_or(std::string());
}

}  // namespace bulkhead::extract
