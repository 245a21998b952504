// Text from clients: what passes is UTF-8 without control characters, checking it again changes and
// finds nothing more, and the three policies agree on what they see.
#include "base/json.h"
#include "check.h"
#include "guard/text_policy.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead;
  using fuzz::require;
  using guard::SmugglingPolicy;
  std::string_view text = fuzz::text_of(data, size);

  auto clean = guard::check_text(text, SmugglingPolicy::Clean);
  auto mark = guard::check_text(text, SmugglingPolicy::Mark);
  auto refuse = guard::check_text(text, SmugglingPolicy::Refuse);
  require(clean.ok() == mark.ok(), "cleaning and marking accept the same texts");
  if (!clean) {
    fuzz::require_told(clean.error());
    require(!refuse.ok(), "what is no text is refused by every policy");
    return 0;
  }
  require(refuse.ok() == !mark->findings.suspicious(), "what is suspicious is refused");
  require(mark->findings.zero_width == clean->findings.zero_width &&
              mark->findings.mixed_script_words == clean->findings.mixed_script_words,
          "policies find the same");

  for (char c : clean->text) {
    auto byte = static_cast<unsigned char>(c);
    require(byte >= 0x20 || c == '\t' || c == '\n' || c == '\r', "no control character passes");
    require(byte != 0x7F, "no control character passes");
  }
  std::string literal = base::json::quote(clean->text);
  auto back = base::json::Document::parse(literal);
  require(back.ok() && back->root().as_string() == clean->text, "what passes is UTF-8");

  auto again = guard::check_text(clean->text, SmugglingPolicy::Clean);
  require(again.ok() && again->text == clean->text, "cleaning is stable");
  require(again->findings.zero_width == 0 && again->findings.bidi_controls == 0 &&
              again->findings.tag_characters == 0,
          "a cleaned text smuggles nothing");
  require(again->findings.control_tokens == clean->findings.control_tokens,
          "control tokens are counted in the text that goes on");
  // Normal form C may lengthen a text threefold in UTF-8 (UAX 15), no more.
  require(clean->text.size() <= 3 * size, "a text grows within a bound");
  return 0;
}
