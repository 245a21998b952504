// Byte views and the textual encodings of bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::base {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string hex_encode(ByteView bytes);                  // lower case
std::optional<Bytes> hex_decode(std::string_view text);  // even length, either case

// RFC 4648 section 5, without padding. Decoding is strict: no padding, no foreign character, no
// non-zero trailing bits (so that each byte string has one spelling).
std::string base64url_encode(ByteView bytes);
std::optional<Bytes> base64url_decode(std::string_view text);

// RFC 4648 section 4, with padding, equally strict.
std::string base64_encode(ByteView bytes);
std::optional<Bytes> base64_decode(std::string_view text);

// Overwrites memory in a way that the compiler may not remove.
void wipe(void* data, std::size_t bytes);
// The unused capacity too: it may still hold what stood there before the container shrank.
inline void wipe(std::string& text) {
  text.resize(text.capacity());
  wipe(text.data(), text.size());
  text.clear();
}
inline void wipe(Bytes& bytes) {
  bytes.resize(bytes.capacity());
  wipe(bytes.data(), bytes.size());
  bytes.clear();
}

// Compares without revealing by its duration where two equally long inputs differ.
bool equal_constant_time(ByteView left, ByteView right);

}  // namespace bulkhead::base
