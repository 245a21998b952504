#include "http/message.h"

#include <algorithm>

namespace bulkhead::http {

base::ErrorName error_name(HttpError code) {
  switch (code) {
    case HttpError::Malformed: return {"http", "malformed"};
    case HttpError::HeadersTooLarge: return {"http", "headers_too_large"};
    case HttpError::BodyTooLarge: return {"http", "body_too_large"};
    case HttpError::LengthRequired: return {"http", "length_required"};
    case HttpError::UnsupportedVersion: return {"http", "unsupported_version"};
    case HttpError::UnsupportedTransferEncoding: return {"http", "unsupported_transfer_encoding"};
    case HttpError::Timeout: return {"http", "timeout"};
    case HttpError::ConnectionClosed: return {"http", "connection_closed"};
    case HttpError::ConnectFailed: return {"http", "connect_failed"};
    case HttpError::TlsFailed: return {"http", "tls_failed"};
    case HttpError::BadResponse: return {"http", "bad_response"};
    case HttpError::Cancelled: return {"http", "cancelled"};
    case HttpError::SignatureInvalid: return {"http", "signature_invalid"};
    case HttpError::SignatureStale: return {"http", "signature_stale"};
    case HttpError::SignatureReplayed: return {"http", "signature_replayed"};
    case HttpError::DigestMismatch: return {"http", "digest_mismatch"};
    case HttpError::BadMultipart: return {"http", "bad_multipart"};
    case HttpError::Bind: return {"http", "bind"};
  }
  return {"http", "unknown"};
}

std::string_view method_name(Method method) {
  switch (method) {
    case Method::Get: return "GET";
    case Method::Head: return "HEAD";
    case Method::Post: return "POST";
    case Method::Put: return "PUT";
    case Method::Patch: return "PATCH";
    case Method::Delete: return "DELETE";
    case Method::Options: return "OPTIONS";
  }
  return "GET";
}

void Headers::add(std::string_view lower_name, std::string_view value) {
  entries_.push_back({static_cast<std::uint32_t>(text_.size()), static_cast<std::uint32_t>(lower_name.size()),
                      static_cast<std::uint32_t>(value.size())});
  text_.append(lower_name);
  text_.append(value);
}

void Headers::set(std::string_view lower_name, std::string_view value) {
  remove(lower_name);
  add(lower_name, value);
}

void Headers::remove(std::string_view lower_name) {
  for (std::size_t i = entries_.size(); i-- > 0;) {
    if (field(i).first == lower_name) entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

std::optional<std::string_view> Headers::single(std::string_view lower_name) const {
  std::optional<std::string_view> found;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    // Lengths first: most names differ there, without touching the text.
    if (entries_[i].name_bytes != lower_name.size()) continue;
    const Field entry = field(i);
    if (entry.first != lower_name) continue;
    if (found) return std::nullopt;
    found = entry.second;
  }
  return found;
}

std::size_t Headers::count(std::string_view lower_name) const {
  std::size_t total = 0;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].name_bytes == lower_name.size() && field(i).first == lower_name) ++total;
  }
  return total;
}

void Headers::clear() {
  entries_.clear();
  text_.clear();
}

void Headers::reserve(std::size_t fields, std::size_t bytes) {
  entries_.reserve(fields);
  text_.reserve(bytes);
}

std::optional<std::string_view> Request::query_value(std::string_view name) const {
  std::optional<std::string_view> found;
  for (const auto& [key, value] : query) {
    if (key != name) continue;
    if (found) return std::nullopt;
    found = value;
  }
  return found;
}

Response Response::json(int status, std::string body) {
  Response response;
  response.status = status;
  response.headers.add("content-type", "application/json");
  response.body = std::move(body);
  return response;
}

Response Response::text(int status, std::string body) {
  Response response;
  response.status = status;
  response.headers.add("content-type", "text/plain; charset=utf-8");
  response.body = std::move(body);
  return response;
}

std::string_view status_phrase(int status) {
  switch (status) {
    case 100: return "Continue";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 423: return "Locked";
    case 425: return "Too Early";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 451: return "Unavailable For Legal Reasons";
    case 499: return "Client Closed Request";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    default: return "Status";
  }
}

}  // namespace bulkhead::http
