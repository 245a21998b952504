// UTF-8 byte by byte: tokens may end in the middle of a character.
#pragma once

#include <cstdint>
#include <optional>

namespace bulkhead::inference {

class Utf8State {
 public:
  // The code point that this byte ends, if it ends one.
  std::optional<std::uint32_t> add(std::uint8_t byte) {
    if (missing_ > 0) {
      if ((byte & 0xC0) != 0x80) return fail();
      value_ = value_ << 6 | (byte & 0x3Fu);
      if (--missing_ > 0) return std::nullopt;
      return value_;
    }
    if (byte < 0x80) return byte;
    if (byte >= 0xC2 && byte < 0xE0) return begin(byte & 0x1Fu, 1);
    if (byte >= 0xE0 && byte < 0xF0) return begin(byte & 0x0Fu, 2);
    if (byte >= 0xF0 && byte < 0xF5) return begin(byte & 0x07u, 3);
    return fail();
  }
  bool invalid() const { return invalid_; }
  bool unfinished() const { return missing_ > 0; }
  // The code points that an unfinished character can still become.
  std::uint32_t low() const {
    const std::uint32_t least = value_ << (6 * missing_);
    if (least > 0) return least;
    return missing_ == 2 ? 0x800 : missing_ == 3 ? 0x10000 : 0;
  }
  std::uint32_t high() const { return (value_ << (6 * missing_)) | ((1u << (6 * missing_)) - 1); }

 private:
  std::optional<std::uint32_t> begin(std::uint32_t value, int missing) {
    value_ = value;
    missing_ = missing;
    return std::nullopt;
  }
  std::optional<std::uint32_t> fail() {
    invalid_ = true;
    return std::nullopt;
  }
  std::uint32_t value_ = 0;
  int missing_ = 0;
  bool invalid_ = false;
};

}  // namespace bulkhead::inference
