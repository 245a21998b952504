// What text may enter: normalised (NFC), valid UTF-8, no control characters; smuggling signs counted.
// AISVS 2.1.1, 2.1.2, 2.1.5. Pure functions, thread safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bulkhead::guard {

enum class GuardError { NotUtf8, ControlCharacter, Smuggling, TooLong };
base::ErrorName error_name(GuardError code);

struct TextFindings {
  std::uint32_t zero_width = 0;          // U+200B..U+200D outside emoji and Indic joins, U+2060, U+FEFF
  std::uint32_t bidi_controls = 0;       // U+202A..U+202E, U+2066..U+2069
  std::uint32_t tag_characters = 0;      // U+E0000..U+E007F
  std::uint32_t mixed_script_words = 0;  // Latin words with Cyrillic or Greek look-alikes
  std::uint32_t control_tokens = 0;      // literal "<|im_start|>", "[INST]" and their kind
  bool suspicious() const { return zero_width || bidi_controls || tag_characters || mixed_script_words; }
};

enum class SmugglingPolicy { Clean, Mark, Refuse };

struct CheckedText {
  std::string text;  // NFC; with Clean, invisible and tag characters are removed
  TextFindings findings;
};

// Control characters other than tab, newline and carriage return are refused in requests.
base::Result<CheckedText> check_text(std::string_view text, SmugglingPolicy policy);

}  // namespace bulkhead::guard
