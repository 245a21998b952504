// Forms: "content type, LF, body". Parts lie inside the body in order and apart, names are sane, and
// an accepted form that is written out again reads the same.
#include "check.h"
#include "http/multipart.h"

namespace {

using namespace bulkhead::http;
using bulkhead::fuzz::require;

void check_parts(const std::vector<FormPart>& parts, std::string_view body) {
  require(parts.size() <= 32, "parts stay in their bound");
  const char* free_from = body.data();
  for (const FormPart& part : parts) {
    require(part.content.data() >= free_from &&
                part.content.data() + part.content.size() <= body.data() + body.size(),
            "a part's content lies inside the body, behind the part before");
    free_from = part.content.data() + part.content.size();
    require(!part.name.empty(), "a part has a name");
    require(part.file_name.size() <= 255 && part.file_name.find_first_of("/\\") == std::string::npos &&
                part.file_name != "." && part.file_name != "..",
            "a file's name is a base name");
    for (char c : part.name + part.file_name + part.content_type) {
      require((static_cast<unsigned char>(c) >= 0x20 || c == '\t') && c != 0x7F,
              "names hold no control byte");
    }
  }
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

void check_written(const std::vector<FormPart>& parts) {
  // A boundary that stands in no content.
  std::string boundary = "b";
  for (const FormPart& part : parts) {
    while (part.content.find("--" + boundary) != std::string_view::npos) boundary += 'b';
  }
  if (boundary.size() > 70 || parts.empty()) return;
  std::string body;
  for (const FormPart& part : parts) {
    body += "--" + boundary + "\r\ncontent-disposition: form-data; name=" + quoted(part.name);
    if (!part.file_name.empty()) body += "; filename=" + quoted(part.file_name);
    if (!part.content_type.empty()) body += "\r\ncontent-type: " + part.content_type;
    body.append("\r\n\r\n").append(part.content).append("\r\n");
  }
  body += "--" + boundary + "--\r\n";
  auto again = parse_multipart("multipart/form-data; boundary=" + boundary, body);
  require(again && again->size() == parts.size(), "an accepted form is accepted again");
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const FormPart &was = parts[i], &is = (*again)[i];
    require(is.name == was.name && is.file_name == was.file_name && is.content_type == was.content_type &&
                is.content == was.content,
            "an accepted form reads the same again");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view body = bulkhead::fuzz::text_of(data, size);
  std::string_view type = bulkhead::fuzz::take_line(body);
  auto parts = parse_multipart(type, body);
  if (!parts) {
    bulkhead::fuzz::require_told(parts.error());
    return 0;
  }
  check_parts(*parts, body);
  // Header blocks over the bound can only come from escaping what stood near it.
  std::size_t names = 0;
  for (const FormPart& part : *parts)
    names = std::max(names, part.name.size() + part.file_name.size() + part.content_type.size());
  if (names < 3 << 10) check_written(*parts);
  return 0;
}
