// HTTP messages as the server parsed them and as the client sends them. RFC 9110, RFC 9112.
//
// Header names are stored in lower case. A Request that reaches a handler is well-formed: strict
// parsing has refused obs-fold, bare CR, whitespace before colons, duplicate or conflicting
// Content-Length, Transfer-Encoding with Content-Length, control bytes, a missing or malformed or
// repeated Host, absolute targets for other hosts, and percent-encodings that decode to NUL or '/'.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "http/peer.h"

namespace bulkhead::http {

enum class HttpError {
  Malformed,                    // 400
  HeadersTooLarge,              // 431
  BodyTooLarge,                 // 413
  LengthRequired,               // 411
  UnsupportedVersion,           // 505
  UnsupportedTransferEncoding,  // 501
  Timeout,                      // 408 (server) / upstream time-out (client)
  ConnectionClosed,
  ConnectFailed,
  TlsFailed,
  BadResponse,  // the upstream's answer is not HTTP or breaks a bound
  Cancelled,
  SignatureInvalid,
  SignatureStale,
  SignatureReplayed,
  DigestMismatch,
  BadMultipart,
  Bind,
};
base::ErrorName error_name(HttpError code);

enum class Method : std::uint8_t { Get, Head, Post, Put, Patch, Delete, Options };
std::string_view method_name(Method method);

// Kept as offsets into one string, so that a message's headers cost two allocations in all. The
// names are lower case; views stay good until the object is changed or moved.
class Headers {
 public:
  using Field = std::pair<std::string_view, std::string_view>;

  // What `all()` gives: for (const auto& [name, value] : headers.all()).
  class View {
   public:
    class Iterator {
     public:
      using value_type = Field;
      using difference_type = std::ptrdiff_t;
      Iterator() = default;
      Iterator(const Headers* headers, std::size_t index) : headers_(headers), index_(index) {}
      Field operator*() const { return headers_->field(index_); }
      Iterator& operator++() {
        ++index_;
        return *this;
      }
      Iterator operator++(int) {
        Iterator before = *this;
        ++index_;
        return before;
      }
      friend bool operator==(const Iterator&, const Iterator&) = default;

     private:
      const Headers* headers_ = nullptr;
      std::size_t index_ = 0;
    };
    explicit View(const Headers* headers) : headers_(headers) {}
    Iterator begin() const { return {headers_, 0}; }
    Iterator end() const { return {headers_, size()}; }
    std::size_t size() const { return headers_->entries_.size(); }
    bool empty() const { return size() == 0; }
    Field operator[](std::size_t index) const { return headers_->field(index); }

   private:
    const Headers* headers_;
  };

  void add(std::string_view lower_name, std::string_view value);
  void set(std::string_view lower_name, std::string_view value);
  void remove(std::string_view lower_name);
  // The only value of this name; nothing when absent or repeated.
  std::optional<std::string_view> single(std::string_view lower_name) const;
  std::size_t count(std::string_view lower_name) const;
  View all() const { return View(this); }
  void clear();
  // Room for `fields` fields of `bytes` bytes in all, so that adding them allocates once.
  void reserve(std::size_t fields, std::size_t bytes);

 private:
  struct Entry {
    std::uint32_t begin;  // of the name in text_; the value follows it
    std::uint32_t name_bytes;
    std::uint32_t value_bytes;
  };
  Field field(std::size_t index) const {
    const Entry& entry = entries_[index];
    const std::string_view text(text_);
    return {text.substr(entry.begin, entry.name_bytes),
            text.substr(entry.begin + entry.name_bytes, entry.value_bytes)};
  }
  std::string text_;
  std::vector<Entry> entries_;
};

struct Request {
  Method method = Method::Get;
  std::string target;  // as sent: "/v1/models?limit=2"
  std::string path;    // percent-decoded, normalised: no "." or ".." segment, no "//"
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order
  Headers headers;
  std::string body;
  Peer peer;
  bool secure = false;  // arrived over TLS
  // For the client: may be sent a second time when the first try got no byte of an answer. GET and
  // HEAD always may.
  bool idempotent = false;

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
