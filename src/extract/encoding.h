// Bytes of a text or a page to UTF-8: by byte order mark, by what a page declares, by form, and last by
// statistics (ICU, decision 0038). Whoever can't be told apart is refused: wrong letters are worse than none.
//
// Thread safety: functions without state. Nothing throws but std::bad_alloc. ICU's tables are part of its
// libraries, so that no file is opened inside the sandbox.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace bulkhead::extract {

// UTF-8 of a text in UTF-8, UTF-16 or UTF-32 with a mark or without, or in a code page that its letters
// give away. A byte that breaks an otherwise sound UTF-8 text becomes U+FFFD. Errors: Unsupported when the
// bytes are no text, or when their encoding can't be told for sure.
base::Result<std::string> text_to_utf8(std::string_view bytes);

// The same for a page, whose declaration (XML declaration, `meta`) is heeded as browsers heed it: the labels
// of the WHATWG Encoding Standard, and UTF-7 never.
base::Result<std::string> html_to_utf8(std::string_view bytes);

// UTF-8 of bytes in the named encoding. Errors: Unsupported for a name that ICU doesn't know.
base::Result<std::string> decode_as(const std::string& encoding, std::string_view bytes);

}  // namespace bulkhead::extract
