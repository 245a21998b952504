// multipart/form-data (RFC 7578) with strict bounds, for file uploads.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::http {

struct FormPart {
  std::string name;
  std::string file_name;     // empty for a plain field; base name only, no path, no control bytes
  std::string content_type;  // as the client says; never trusted
  std::string_view content;  // points into the body
};

// At most 32 parts, 8 KiB of headers a part. `content_type` is the request's header.
base::Result<std::vector<FormPart>> parse_multipart(std::string_view content_type, std::string_view body);

}  // namespace bulkhead::http
