// A strict, incremental HTTP/1.1 request parser (RFC 9112). No I/O, no allocation beyond the
// message itself. Fuzzed by fuzz/http_request_fuzzer.cc.
//
// Feed bytes; it says whether it needs more, has a message, or refuses with an error and the status
// to answer. After Done, `take()` gives the message and the parser is ready for the next one on the
// connection; bytes it did not consume belong to that next one. Whoever decides about a request by its
// head takes that with `take_head()` after HeadersDone; then `take()` gives a message with the body alone.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace bulkhead::http {

struct ParserLimits {
  std::size_t request_line_bytes_max = 8 << 10;
  std::size_t header_bytes_max = 48 << 10;  // all headers together; a token may have 32 KiB of them
  std::size_t header_count_max = 100;
  std::size_t body_bytes_max = 32 << 20;
  std::size_t chunk_count_max = 100'000;
};

class RequestParser {
 public:
  explicit RequestParser(const ParserLimits& limits);
  ~RequestParser();
  RequestParser(RequestParser&&) noexcept;
  RequestParser& operator=(RequestParser&&) noexcept;

  enum class State { NeedMore, HeadersDone, Done, Failed };
  // Consumes bytes from the front of `data`; `consumed` says how many. HeadersDone is returned once
  // per message that has a body or `Expect: 100-continue`, so that the server can refuse it by its
  // headers before the body is read; call again to go on. A body grows by at most the bytes fed.
  State feed(std::string_view data, std::size_t& consumed);
  bool failed() const;
  const base::Error& error() const;  // after Failed
  int error_status() const;          // 400, 413, 431, 501, 505
  const Request& partial() const;    // after HeadersDone: everything but the body
  bool expects_continue() const;
  bool keep_alive() const;  // after HeadersDone or Done
  bool started() const;     // a byte of the next message was seen
  // After HeadersDone: the body's whole length; nothing when it is chunked.
  std::optional<std::uint64_t> body_length() const;
  std::size_t body_received() const;     // bytes of the body that are here
  void reserve_body(std::size_t bytes);  // so that the body's memory is allocated once
  Request take_head();
  Request take();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::http
