// Answer text on its way out: "stop, LF, stop, LF, text". However the model's pieces fall, the same
// text goes out: all before the first stop, whole characters only, and never a beginning of a stop
// that was then completed.
#include <optional>

#include "check.h"
#include "inference/text_stream.h"

namespace {

using namespace bulkhead;
using fuzz::require;

struct Answer {
  std::string text;
  bool stopped = false;
};

Answer stream(const std::vector<std::string>& stops, const std::vector<std::string_view>& pieces) {
  inference::TextStream stream(stops);
  Answer answer;
  for (std::string_view piece : pieces) {
    answer.text += stream.add(piece);
    if (stream.stopped()) break;
  }
  if (!stream.stopped()) answer.text += stream.finish();
  answer.stopped = stream.stopped();
  return answer;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = fuzz::text_of(data, size);
  std::vector<std::string> stops;
  for (int i = 0; i < 2; ++i) {
    std::string_view stop = fuzz::take_line(text).substr(0, 16);
    if (!stop.empty()) stops.emplace_back(stop);
  }
  std::optional<Answer> whole;
  for (const auto& pieces : fuzz::ways_to_cut(text)) {
    Answer seen = stream(stops, pieces);
    require(std::string_view(text).starts_with(seen.text), "what goes out is the beginning of what came in");
    for (const std::string& stop : stops)
      require(seen.text.find(stop) == std::string::npos, "no stop goes out");
    if (!whole) {
      whole = std::move(seen);
      continue;
    }
    require(seen.stopped == whole->stopped, "stopping doesn't depend on the pieces");
    require(seen.text == whole->text, "the text doesn't depend on the pieces");
  }
  if (!whole->stopped)
    require(text.size() - whole->text.size() <= 3, "without a stop all but a torn character goes out");
  return 0;
}
