// HTTP messages as the server parsed them and as the client sends them. RFC 9110, RFC 9112.
//
// Header names are stored in lower case. A Request that reaches a handler is well-formed: strict
// parsing has refused obs-fold, bare CR, whitespace before colons, duplicate or conflicting
// Content-Length, Transfer-Encoding with Content-Length, control bytes, a missing or malformed or
// repeated Host, absolute targets for other hosts, and percent-encodings that decode to NUL or '/'.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace bulkhead::http {

enum class HttpError {
  Malformed,          // 400
  HeadersTooLarge,    // 431
  BodyTooLarge,       // 413
  LengthRequired,     // 411
  UnsupportedVersion, // 505
  UnsupportedTransferEncoding,  // 501
  Timeout,            // 408 (server) / upstream time-out (client)
  ConnectionClosed,
  ConnectFailed,
  TlsFailed,
  BadResponse,        // the upstream's answer is not HTTP or breaks a bound
  Cancelled,
  SignatureInvalid, SignatureStale, SignatureReplayed, DigestMismatch,
  BadMultipart,
  Bind,
};
base::ErrorName error_name(HttpError code);

enum class Method : std::uint8_t { Get, Head, Post, Put, Patch, Delete, Options };
std::string_view method_name(Method method);

class Headers {
 public:
  void add(std::string_view lower_name, std::string_view value);
  void set(std::string_view lower_name, std::string_view value);
  // The only value of this name; nothing when absent or repeated.
  std::optional<std::string_view> single(std::string_view lower_name) const;
  std::size_t count(std::string_view lower_name) const;
  const std::vector<std::pair<std::string, std::string>>& all() const { return entries_; }
  void clear() { entries_.clear(); }

 private:
  std::vector<std::pair<std::string, std::string>> entries_;
};

struct Request {
  Method method = Method::Get;
  std::string target;  // as sent: "/v1/models?limit=2"
  std::string path;    // percent-decoded, normalised: no "." or ".." segment, no "//"
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order
  Headers headers;
  std::string body;
  std::string peer;    // "127.0.0.1:50312", or "unix"
  bool secure = false; // arrived over TLS

  // The only value of a query parameter; nothing when absent or repeated.
  std::optional<std::string_view> query_value(std::string_view name) const;
};

struct Response {
  int status = 200;
  Headers headers;
  std::string body;
  static Response json(int status, std::string body);
  static Response text(int status, std::string body);
};

std::string_view status_phrase(int status);

}  // namespace bulkhead::http
