// Message bodies: the decoder gives the same bytes and the same end however they arrive, within its
// bounds; and what a strict writer would send is read back whole.
#include <optional>

#include "check.h"
#include "http/detail/body_decoder.h"

namespace {

using bulkhead::fuzz::require;
using bulkhead::http::detail::BodyDecoder;

constexpr std::uint64_t kBytesMax = 512;
constexpr std::uint64_t kChunksMax = 8;

struct Decoded {
  BodyDecoder::State state = BodyDecoder::State::NeedMore;
  std::size_t consumed = 0;
  std::string body;
};

Decoded decode(BodyDecoder decoder, const std::vector<std::string_view>& pieces) {
  Decoded out;
  for (std::string_view piece : pieces) {
    std::size_t consumed = 0;
    out.state = decoder.feed(piece, consumed, out.body);
    require(consumed <= piece.size(), "no more is consumed than was given");
    if (out.state == BodyDecoder::State::NeedMore)
      require(consumed == piece.size(), "what needs more took all");
    out.consumed += consumed;
    if (out.state != BodyDecoder::State::NeedMore) break;
  }
  return out;
}

void check(const BodyDecoder& decoder, std::string_view text, std::uint64_t bytes_max) {
  if (text.empty()) return;  // no piece, so no state to compare
  std::optional<Decoded> whole;
  for (const auto& pieces : bulkhead::fuzz::ways_to_cut(text)) {
    Decoded seen = decode(decoder, pieces);
    require(seen.body.size() <= bytes_max, "a body stays in its bound");
    if (!whole) {
      whole = std::move(seen);
      continue;
    }
    bool failed = seen.state == BodyDecoder::State::TooLarge || seen.state == BodyDecoder::State::Malformed;
    require(seen.state == whole->state, "the end doesn't depend on how the bytes arrive");
    if (!failed) {
      require(seen.body == whole->body && seen.consumed == whole->consumed,
              "a body doesn't depend on how its bytes arrive");
    }
  }
}

// `text` as chunks of `step` bytes.
std::string chunked(std::string_view text, std::size_t step) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  while (!text.empty()) {
    std::string_view chunk = text.substr(0, step);
    out += kHex[chunk.size() >> 4];
    out += kHex[chunk.size() & 15];
    out.append("\r\n").append(chunk).append("\r\n");
    text.remove_prefix(chunk.size());
  }
  return out + "0\r\n\r\n";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = bulkhead::fuzz::text_of(data, size);
  check(BodyDecoder::chunked(kBytesMax, kChunksMax), text, kBytesMax);
  check(BodyDecoder::until_close(kBytesMax), text, kBytesMax);
  check(BodyDecoder::length(size / 2), text, size / 2);

  std::string sent = chunked(text, 1 + size % 255);
  Decoded back = decode(BodyDecoder::chunked(size, size + 1), {sent});
  require(back.state == BodyDecoder::State::Done && back.body == text && back.consumed == sent.size(),
          "what was sent in chunks is read back whole");
  return 0;
}
