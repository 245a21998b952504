#include "http/detail/body_decoder.h"

#include <algorithm>

#include "http/detail/syntax.h"

namespace bulkhead::http::detail {

namespace {
// Nobody needs extensions; the bound is for senders that add a short one.
constexpr unsigned kChunkLineBytesMax = 128;
constexpr unsigned kChunkDigitsMax = 15;
}  // namespace

BodyDecoder::State BodyDecoder::feed(std::string_view data, std::size_t& consumed, std::string& out) {
  consumed = 0;
  switch (kind_) {
    case Kind::Length: {
      const auto take = static_cast<std::size_t>(std::min<std::uint64_t>(left_, data.size()));
      out.append(data.substr(0, take));
      left_ -= take;
      consumed = take;
      return left_ == 0 ? State::Done : State::NeedMore;
    }
    case Kind::Chunked: return feed_chunked(data, consumed, out);
    case Kind::UntilClose:
      bytes_ += data.size();
      if (bytes_ > bytes_max_) return State::TooLarge;
      out.append(data);
      consumed = data.size();
      return State::NeedMore;
  }
  return State::Malformed;
}

BodyDecoder::State BodyDecoder::size_line_char(char c) {
  if (++line_bytes_ > kChunkLineBytesMax) return State::Malformed;
  if (c == '\r') {
    if (digits_ == 0) return State::Malformed;
    step_ = Step::SizeLineFeed;
    return State::NeedMore;
  }
  if (step_ == Step::Extension) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7f ? State::Malformed : State::NeedMore;
  }
  const int digit = hex_value(c);
  if (digit < 0) {
    if (c != ';' || digits_ == 0) return State::Malformed;
    step_ = Step::Extension;
    return State::NeedMore;
  }
  if (++digits_ > kChunkDigitsMax) return State::Malformed;
  left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
  return State::NeedMore;
}

BodyDecoder::State BodyDecoder::feed_chunked(std::string_view data, std::size_t& consumed, std::string& out) {
  while (consumed < data.size()) {
    const char c = data[consumed];
    switch (step_) {
      case Step::Size:
      case Step::Extension:
        if (size_line_char(c) != State::NeedMore) return State::Malformed;
        ++consumed;
        break;
      case Step::SizeLineFeed:
        if (c != '\n') return State::Malformed;
        ++consumed;
        if (++chunks_ > chunks_max_ || left_ > bytes_max_ - bytes_) return State::TooLarge;
        bytes_ += left_;
        step_ = left_ == 0 ? Step::EndReturn : Step::Data;
        break;
      case Step::Data: {
        const auto take = static_cast<std::size_t>(std::min<std::uint64_t>(left_, data.size() - consumed));
        out.append(data.substr(consumed, take));
        consumed += take;
        left_ -= take;
        if (left_ == 0) step_ = Step::DataReturn;
        break;
      }
      case Step::DataReturn:
        if (c != '\r') return State::Malformed;
        ++consumed;
        step_ = Step::DataLineFeed;
        break;
      case Step::DataLineFeed:
        if (c != '\n') return State::Malformed;
        ++consumed;
        step_ = Step::Size;
        digits_ = 0;
        line_bytes_ = 0;
        break;
      case Step::EndReturn:
        // Anything but CR here would begin a trailer field.
        if (c != '\r') return State::Malformed;
        ++consumed;
        step_ = Step::EndLineFeed;
        break;
      case Step::EndLineFeed:
        if (c != '\n') return State::Malformed;
        ++consumed;
        return State::Done;
    }
  }
  return State::NeedMore;
}

}  // namespace bulkhead::http::detail
