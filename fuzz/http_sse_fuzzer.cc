// Event streams: the same events however the bytes arrive, each within the bound; and what sse_event
// writes is read back.
#include <optional>

#include "check.h"
#include "http/sse.h"

namespace {

using bulkhead::fuzz::require;
using bulkhead::http::SseParser;

constexpr std::size_t kEventBytesMax = 256;

struct Stream {
  std::vector<std::string> events;
  bool refused = false;
};

Stream read(const std::vector<std::string_view>& pieces) {
  Stream out;
  SseParser parser(kEventBytesMax);
  for (std::string_view piece : pieces) {
    auto fed = parser.feed(piece);
    while (auto event = parser.next()) {
      require(event->size() <= kEventBytesMax, "an event stays in its bound");
      out.events.push_back(std::move(*event));
    }
    if (!fed) {
      bulkhead::fuzz::require_told(fed.error());
      out.refused = true;
      break;
    }
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = bulkhead::fuzz::text_of(data, size);
  std::optional<Stream> whole;
  for (const auto& pieces : bulkhead::fuzz::ways_to_cut(text)) {
    Stream seen = read(pieces);
    if (!whole) {
      whole = std::move(seen);
      continue;
    }
    require(seen.events == whole->events, "events don't depend on how their bytes arrive");
    require(seen.refused == whole->refused, "a refusal doesn't depend on how the bytes arrive");
  }
  // One event of one line.
  if (text.find_first_of("\r\n") == std::string_view::npos && size + 8 < kEventBytesMax) {
    Stream back = read({bulkhead::http::sse_event(text)});
    require(!back.refused && back.events == std::vector<std::string>{std::string(text)},
            "a written event is read back");
  }
  return 0;
}
