#include "http/multipart.h"

#include <optional>

#include "http/detail/head.h"
#include "http/detail/syntax.h"
#include "http/message.h"

namespace bulkhead::http {

namespace {

constexpr std::size_t kPartsMax = 32;
constexpr std::size_t kPartHeaderBytesMax = 8 << 10;
constexpr std::size_t kPartHeadersMax = 16;
constexpr std::size_t kFileNameBytesMax = 255;

base::Error bad(std::string_view why) {
  return base::Error(HttpError::BadMultipart, "The multipart form is malformed: " + std::string(why) + ".");
}

// The value of a `; name=value` or `; name="value"` parameter. `present` tells an absent one from a
// malformed one. Inside quotes only \" and \\ are escapes (RFC 9110 section 5.6.4); browsers send
// %22 instead and leave backslashes alone, which the caller's base-name rule takes care of.
struct Parameter {
  bool malformed = false;
  std::optional<std::string> value;
};

Parameter find_parameter(std::string_view text, std::string_view wanted) {
  Parameter found;
  std::size_t at = text.find(';');
  while (at != std::string_view::npos) {
    text = detail::trim(text.substr(at + 1));
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos || !detail::is_token(text.substr(0, equals))) {
      return {true, std::nullopt};
    }
    const std::string_view name = text.substr(0, equals);
    text.remove_prefix(equals + 1);
    std::string value;
    if (text.starts_with('"')) {
      std::size_t i = 1;
      while (i < text.size() && text[i] != '"') {
        if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\')) ++i;
        value.push_back(text[i++]);
      }
      if (i >= text.size()) return {true, std::nullopt};
      text = detail::trim(text.substr(i + 1));
      if (!text.empty() && text.front() != ';') return {true, std::nullopt};
    } else {
      value = detail::trim(text.substr(0, text.find(';')));
      if (!detail::is_token(value)) return {true, std::nullopt};
    }
    if (detail::equal_ignoring_case(name, wanted)) {
      if (found.value) return {true, std::nullopt};  // twice: readers would disagree
      found.value = std::move(value);
    }
    at = text.find(';');
  }
  return found;
}

// The last segment of what the client calls the file; nothing when no sane name is left.
std::optional<std::string> base_name(std::string_view text) {
  const std::size_t slash = text.find_last_of("/\\");
  if (slash != std::string_view::npos) text.remove_prefix(slash + 1);
  if (text.empty() || text == "." || text == ".." || text.size() > kFileNameBytesMax) {
    return std::nullopt;
  }
  if (!detail::is_field_value(text) || text.find('\t') != std::string_view::npos) {
    return std::nullopt;
  }
  return std::string(text);
}

base::Result<FormPart> parse_part(std::string_view head, std::string_view content) {
  Headers headers;
  std::string_view reason;
  bool too_many = false;
  if (!detail::parse_fields(head, kPartHeadersMax, headers, reason, too_many)) {
    return bad("a part's headers are not valid");
  }
  const auto disposition = headers.single("content-disposition");
  if (!disposition || !detail::equal_ignoring_case(
                          detail::trim(disposition->substr(0, disposition->find(';'))), "form-data")) {
    return bad("each part needs one Content-Disposition: form-data");
  }
  // Nobody sends these in forms any more (RFC 7578 section 4.7), and decoding could hide content.
  if (headers.count("content-transfer-encoding") != 0) {
    return bad("Content-Transfer-Encoding is not accepted");
  }
  const Parameter name = find_parameter(*disposition, "name");
  const Parameter file_name = find_parameter(*disposition, "filename");
  if (name.malformed || file_name.malformed || !name.value || name.value->empty() ||
      !detail::is_field_value(*name.value)) {
    return bad("a part has no valid name");
  }
  FormPart part;
  part.name = *name.value;
  part.content = content;
  if (file_name.value) {
    auto base = base_name(*file_name.value);
    if (!base) return bad("a file has no valid name");
    part.file_name = std::move(*base);
  }
  if (const auto type = headers.single("content-type")) part.content_type = *type;
  return part;
}

base::Result<std::string> boundary_of(std::string_view content_type) {
  const std::string_view type = detail::trim(content_type.substr(0, content_type.find(';')));
  if (!detail::equal_ignoring_case(type, "multipart/form-data")) {
    return bad("send it as Content-Type: multipart/form-data");
  }
  const Parameter boundary = find_parameter(content_type, "boundary");
  // RFC 2046 section 5.1.1: 1 to 70 characters of a small set, not ending with a space.
  if (boundary.malformed || !boundary.value || boundary.value->empty() || boundary.value->size() > 70 ||
      boundary.value->ends_with(' ')) {
    return bad("the Content-Type has no valid boundary");
  }
  for (char c : *boundary.value) {
    const char small = detail::lower(c);
    const bool good = (small >= 'a' && small <= 'z') || (c >= '0' && c <= '9') ||
                      std::string_view("'()+_,-./:=? ").find(c) != std::string_view::npos;
    if (!good) return bad("the Content-Type has no valid boundary");
  }
  return *boundary.value;
}

}  // namespace

base::Result<std::vector<FormPart>> parse_multipart(std::string_view content_type, std::string_view body) {
  BULKHEAD_TRY(boundary, boundary_of(content_type));
  const std::string first = "--" + boundary;
  const std::string delimiter = "\r\n" + first;
  std::vector<FormPart> parts;
  // Text before the first boundary has no meaning in a form, so it is not skipped but refused.
  if (!body.starts_with(first)) return bad("it does not begin with its boundary");
  body.remove_prefix(first.size());
  for (;;) {
    if (body == "--" || body == "--\r\n") return parts;
    if (!body.starts_with("\r\n")) return bad("a boundary's line is not valid");
    body.remove_prefix(2);
    if (parts.size() == kPartsMax) return bad("it has too many parts");
    const std::size_t head_end = body.substr(0, kPartHeaderBytesMax).find("\r\n\r\n");
    if (head_end == std::string_view::npos) return bad("a part's headers do not end");
    const std::string_view head = body.substr(0, head_end + 4);
    if (head.find('\n') == 0) return bad("a part's headers are not valid");
    body.remove_prefix(head_end + 4);
    const std::size_t content_end = body.find(delimiter);
    if (content_end == std::string_view::npos) return bad("its last boundary is missing");
    BULKHEAD_TRY(part, parse_part(head, body.substr(0, content_end)));
    parts.push_back(std::move(part));
    body.remove_prefix(content_end + delimiter.size());
  }
}

}  // namespace bulkhead::http
