#include "inference/text_stream.h"

#include <algorithm>

namespace bulkhead::inference {

namespace {

// Bytes at the end of `text` that begin a character whose rest has not come yet.
std::size_t incomplete_tail(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xC0) == 0x80) continue;
    std::size_t needed = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
    return needed > back ? back : 0;
  }
  return 0;
}

// Bytes at the end of `text` that could be the beginning of `stop`.
std::size_t partial_stop(std::string_view text, std::string_view stop) {
  for (std::size_t length = std::min(stop.size() - 1, text.size()); length > 0; --length) {
    if (text.ends_with(stop.substr(0, length))) return length;
  }
  return 0;
}

}  // namespace

std::string TextStream::add(std::string_view piece) {
  if (stopped_) return "";
  held_ += piece;
  // The stop that is complete first decides, however the pieces fall: a longer one that began earlier
  // may be held back in the middle, and would not have been complete yet.
  std::size_t first = std::string::npos, end = std::string::npos;
  for (const std::string& stop : stops_) {
    std::size_t at = held_.find(stop);
    if (at == std::string::npos) continue;
    if (at + stop.size() < end || (at + stop.size() == end && at < first)) {
      first = at;
      end = at + stop.size();
    }
  }
  if (first != std::string::npos) {
    stopped_ = true;
    std::string out = held_.substr(0, first);
    held_.clear();
    return out;
  }
  std::size_t keep = incomplete_tail(held_);
  for (const std::string& stop : stops_) keep = std::max(keep, partial_stop(held_, stop));
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

std::string TextStream::finish() {
  // A character that never became whole is dropped.
  held_.resize(held_.size() - incomplete_tail(held_));
  return std::move(held_);
}

}  // namespace bulkhead::inference
