#include <algorithm>

#include "http/client.h"
#include "http/detail/syntax.h"

namespace bulkhead::http {

namespace {

base::Error bad_url(std::string_view why) {
  return base::Error(HttpError::Malformed,
                     "Give an address as http://host[:port][/path], "
                     "https://host[:port][/path] or unix:/path.",
                     std::string(why));
}

}  // namespace

base::Result<Url> Url::parse(std::string_view text) {
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f) return bad_url("the address holds a space or control byte");
  }
  Url url;
  if (text.starts_with("unix:")) {
    url.unix_path = text.substr(5);
    if (!url.unix_path.starts_with('/')) return bad_url("a Unix socket needs an absolute path");
    return url;
  }
  if (text.starts_with("https://")) {
    url.tls = true;
    text.remove_prefix(8);
  } else if (text.starts_with("http://")) {
    text.remove_prefix(7);
  } else {
    return bad_url("unknown scheme");
  }
  if (text.find_first_of("?#@\\") != std::string_view::npos) {
    return bad_url("user info, query and fragment are not accepted");
  }
  const std::size_t slash = std::min(text.find('/'), text.size());
  const std::string_view authority = text.substr(0, slash);
  if (!detail::is_host(authority)) return bad_url("no valid host");
  url.path = text.substr(slash);
  while (url.path.ends_with('/')) url.path.pop_back();
  if (url.path.find("//") != std::string::npos || url.path.find("/../") != std::string::npos ||
      url.path.ends_with("/..")) {
    return bad_url("the path holds an empty or '..' segment");
  }

  const std::size_t bracket = authority.find(']');
  const std::size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  std::string_view host = authority.substr(0, colon);
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  url.host = host;
  url.port = url.tls ? 443 : 80;
  if (colon != std::string_view::npos) {
    url.port = static_cast<std::uint16_t>(*detail::parse_decimal(authority.substr(colon + 1)));
  }
  return url;
}

}  // namespace bulkhead::http
