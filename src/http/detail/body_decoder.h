// Takes a message body out of the byte stream (RFC 9112 section 6 and 7): of known length, chunked,
// or (answers only) up to the connection's end. Chunk extensions are skipped within a bound,
// trailers are refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::http::detail {

class BodyDecoder {
 public:
  enum class State { NeedMore, Done, TooLarge, Malformed };

  static BodyDecoder none() { return BodyDecoder(Kind::Length, 0, 0, 0); }
  static BodyDecoder length(std::uint64_t bytes) { return BodyDecoder(Kind::Length, bytes, 0, 0); }
  static BodyDecoder chunked(std::uint64_t bytes_max, std::uint64_t chunks_max) {
    return BodyDecoder(Kind::Chunked, 0, bytes_max, chunks_max);
  }
  static BodyDecoder until_close(std::uint64_t bytes_max) {
    return BodyDecoder(Kind::UntilClose, 0, bytes_max, 0);
  }

  // Appends body bytes to `out`. NeedMore: all of `data` was consumed.
  State feed(std::string_view data, std::size_t& consumed, std::string& out);
  // The connection ended: is the body whole?
  bool whole_at_end() const { return kind_ == Kind::UntilClose || (kind_ == Kind::Length && left_ == 0); }
  bool ends_with_connection() const { return kind_ == Kind::UntilClose; }

 private:
  enum class Kind : std::uint8_t { Length, Chunked, UntilClose };
  enum class Step : std::uint8_t {
    Size,
    Extension,
    SizeLineFeed,
    Data,
    DataReturn,
    DataLineFeed,
    EndReturn,
    EndLineFeed
  };

  BodyDecoder(Kind kind, std::uint64_t left, std::uint64_t bytes_max, std::uint64_t chunks_max)
      : kind_(kind), left_(left), bytes_max_(bytes_max), chunks_max_(chunks_max) {}
  State feed_chunked(std::string_view data, std::size_t& consumed, std::string& out);
  State size_line_char(char c);

  Kind kind_;
  Step step_ = Step::Size;
  std::uint64_t left_;  // of the body, or of the chunk
  std::uint64_t bytes_max_;
  std::uint64_t bytes_ = 0;
  std::uint64_t chunks_max_;
  std::uint64_t chunks_ = 0;
  unsigned line_bytes_ = 0;  // of the chunk-size line
  unsigned digits_ = 0;
};

}  // namespace bulkhead::http::detail
