#include "guard/text_policy.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>
#include <vector>

namespace bulkhead::guard {

using base::Error;
using base::Result;

namespace {

using CodePoint = utf8proc_int32_t;

constexpr std::string_view kControlTokens[] = {
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "[INST]",          "[/INST]",
    "<|system|>",   "<|user|>",   "<|assistant|>", "<start_of_turn>", "<|eot_id|>"};

bool is_zero_width(CodePoint c) {
  return (c >= 0x200B && c <= 0x200D) || c == 0x2060 || c == 0xFEFF || c == 0x00AD;
}
bool is_bidi_control(CodePoint c) { return (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069); }
bool is_tag(CodePoint c) { return c >= 0xE0000 && c <= 0xE007F; }
bool is_invisible(CodePoint c) { return is_zero_width(c) || is_bidi_control(c) || is_tag(c); }
bool is_forbidden_control(CodePoint c) {
  return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || (c >= 0x7F && c <= 0x9F);
}
bool is_latin(CodePoint c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= 0x00C0 && c <= 0x024F) ||
         (c >= 0x1E00 && c <= 0x1EFF);
}
bool is_lookalike_script(CodePoint c) { return (c >= 0x0370 && c <= 0x03FF) || (c >= 0x0400 && c <= 0x04FF); }
bool is_letter(CodePoint c) {
  utf8proc_category_t category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

// ZWJ and ZWNJ shape emoji and several scripts: between two characters beyond Latin they stay.
// A run of them joins nothing, it can only carry hidden bits.
bool joins(CodePoint before, CodePoint c, CodePoint after) {
  // Combining marks up to U+036F belong to Latin, Greek and Cyrillic letters.
  auto joinable = [](CodePoint point) { return point > 0x36F && !is_invisible(point); };
  return (c == 0x200C || c == 0x200D) && joinable(before) && joinable(after);
}

Result<std::vector<CodePoint>> decode(std::string_view text) {
  std::vector<CodePoint> points;
  points.reserve(text.size());
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  auto left = static_cast<utf8proc_ssize_t>(text.size());
  while (left > 0) {
    CodePoint point = 0;
    utf8proc_ssize_t used = utf8proc_iterate(bytes, left, &point);
    if (used <= 0) return Error(GuardError::NotUtf8, "The text is not valid UTF-8.");
    points.push_back(point);
    bytes += used;
    left -= used;
  }
  return points;
}

std::string encode(const std::vector<CodePoint>& points) {
  std::string out;
  out.reserve(points.size());
  utf8proc_uint8_t buffer[4];
  for (CodePoint point : points) {
    out.append(reinterpret_cast<const char*>(buffer),
               static_cast<std::size_t>(utf8proc_encode_char(point, buffer)));
  }
  return out;
}

// These two look at every byte without a way out in the middle: the compiler takes many at a time.
bool is_ascii(std::string_view text) {
  unsigned char all = 0;
  for (char c : text) all |= static_cast<unsigned char>(c);
  return all < 0x80;
}

bool has_forbidden_ascii(std::string_view text) {
  unsigned found = 0;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    found |= static_cast<unsigned>((byte < 0x20) & (byte != '\t') & (byte != '\n') & (byte != '\r')) |
             static_cast<unsigned>(byte == 0x7F);
  }
  return found != 0;
}

std::string normalised(const std::string& text) {
  struct Free {
    void operator()(utf8proc_uint8_t* data) const { std::free(data); }
  };
  utf8proc_uint8_t* raw = nullptr;
  utf8proc_ssize_t bytes = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                        static_cast<utf8proc_ssize_t>(text.size()), &raw,
                                        static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  std::unique_ptr<utf8proc_uint8_t, Free> owner(raw);
  if (bytes < 0) return text;
  return std::string(reinterpret_cast<const char*>(raw), static_cast<std::size_t>(bytes));
}

// A word that mixes Latin with Cyrillic or Greek letters is made to be misread.
std::uint32_t mixed_script_words(const std::vector<CodePoint>& points) {
  std::uint32_t found = 0;
  bool latin = false, other = false;
  for (std::size_t i = 0; i <= points.size(); ++i) {
    CodePoint c = i < points.size() ? points[i] : ' ';
    if (is_letter(c)) {
      latin = latin || is_latin(c);
      other = other || is_lookalike_script(c);
    } else {
      found += latin && other;
      latin = other = false;
    }
  }
  return found;
}

std::uint32_t control_tokens(std::string_view text) {
  std::uint32_t found = 0;
  // All of them begin with one of these.
  if (text.find('<') == std::string_view::npos && text.find('[') == std::string_view::npos) return 0;
  for (std::string_view token : kControlTokens) {
    for (std::size_t at = text.find(token); at != std::string_view::npos; at = text.find(token, at + 1))
      ++found;
  }
  return found;
}

}  // namespace

base::ErrorName error_name(GuardError code) {
  switch (code) {
    case GuardError::NotUtf8: return {"guard", "not_utf8"};
    case GuardError::ControlCharacter: return {"guard", "control_character"};
    case GuardError::Smuggling: return {"guard", "smuggling"};
    case GuardError::TooLong: return {"guard", "too_long"};
  }
  return {"guard", "unknown"};
}

Result<CheckedText> check_text(std::string_view text, SmugglingPolicy policy) {
  CheckedText out;
  auto control = [] {
    return Error(GuardError::ControlCharacter,
                 "The text holds a control character; only tab and line breaks are allowed.");
  };
  if (is_ascii(text)) {
    if (has_forbidden_ascii(text)) return control();
    out.text = std::string(text);
    out.findings.control_tokens = control_tokens(out.text);
    return out;
  }
  BULKHEAD_CHECK_OK(decode(text));  // only UTF-8 can be normalised
  // Normalised first, so that no spelling of a character changes what is found, and again at the end,
  // since taking characters out can bring a letter and its mark together.
  BULKHEAD_TRY(points, decode(normalised(std::string(text))));
  std::vector<CodePoint> kept;
  kept.reserve(points.size());
  for (std::size_t i = 0; i < points.size(); ++i) {
    CodePoint c = points[i];
    if (is_forbidden_control(c)) return control();
    CodePoint before = i > 0 ? points[i - 1] : 0;
    CodePoint after = i + 1 < points.size() ? points[i + 1] : 0;
    bool zero_width = is_zero_width(c) && !joins(before, c, after);
    out.findings.zero_width += zero_width;
    out.findings.bidi_controls += is_bidi_control(c);
    out.findings.tag_characters += is_tag(c);
    bool invisible = zero_width || is_bidi_control(c) || is_tag(c);
    if (invisible && policy == SmugglingPolicy::Clean) continue;
    kept.push_back(c);
  }
  out.findings.mixed_script_words = mixed_script_words(points);
  if (policy == SmugglingPolicy::Refuse && out.findings.suspicious()) {
    return Error(GuardError::Smuggling, "The text holds invisible or look-alike characters.");
  }
  out.text = normalised(encode(kept));
  // In the text that goes on: taking invisible characters out can put a token together.
  out.findings.control_tokens = control_tokens(out.text);
  return out;
}

}  // namespace bulkhead::guard
