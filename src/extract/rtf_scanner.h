// Cuts Rich Text Format into braces, control words and text. Thread safety: none. The bytes outlive it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::extract {

struct RtfControl {
  std::string word;  // one character for control symbols
  std::optional<int> number;
};

// Every call moves on.
class RtfScanner {
 public:
  explicit RtfScanner(std::string_view bytes) : rest_(bytes) {}
  bool done() const { return rest_.empty(); }
  char front() const { return rest_.front(); }
  void skip(std::size_t bytes) { rest_.remove_prefix(std::min(bytes, rest_.size())); }

  // Behind the backslash, with the space that ends a word.
  RtfControl control() {
    RtfControl out;
    skip(1);
    if (rest_.empty()) return out;
    auto letter = [this] {
      return !rest_.empty() && ((front() >= 'a' && front() <= 'z') || (front() >= 'A' && front() <= 'Z'));
    };
    if (!letter()) {
      out.word = front();
      skip(1);
      return out;
    }
    while (letter()) {
      if (out.word.size() < kWordBytesMax) out.word += front();
      skip(1);
    }
    read_number(out);
    if (!rest_.empty() && front() == ' ') skip(1);
    return out;
  }

  // The two hexadecimal digits of \'hh.
  std::optional<char> hex_byte() {
    if (rest_.size() < 2) return std::nullopt;
    int value = 0;
    for (int i = 0; i < 2; ++i) {
      char c = rest_[static_cast<std::size_t>(i)];
      int digit = c >= '0' && c <= '9'   ? c - '0'
                  : c >= 'a' && c <= 'f' ? c - 'a' + 10
                  : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                         : -1;
      if (digit < 0) return std::nullopt;
      value = value * 16 + digit;
    }
    skip(2);
    return static_cast<char>(value);
  }

 private:
  static constexpr std::size_t kWordBytesMax = 32;

  void read_number(RtfControl& out) {
    std::size_t digits = rest_.starts_with('-') ? 1 : 0;
    auto is_digit = [this](std::size_t i) { return i < rest_.size() && rest_[i] >= '0' && rest_[i] <= '9'; };
    if (!is_digit(digits)) return;
    bool negative = digits == 1;
    std::int64_t value = 0;
    for (; is_digit(digits); ++digits)
      value = std::min<std::int64_t>(value * 10 + (rest_[digits] - '0'), 1 << 30);
    skip(digits);
    out.number = static_cast<int>(negative ? -value : value);
  }

  std::string_view rest_;
};

}  // namespace bulkhead::extract
