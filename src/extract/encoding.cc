#include "extract/encoding.h"

#include <unicode/ucnv.h>
#include <unicode/ucsdet.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>

#include "extract/document.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kDetectBytesMax = 64u << 10;  // of a text that statistics look at
constexpr std::size_t kDeclareBytesMax = 4u << 10;  // of a page in which its encoding must be declared
constexpr std::int32_t kSureConfidence = 30;        // of 100, in ICU's scale
constexpr std::int32_t kSureMultibyte = 50;
constexpr std::size_t kLabelBytesMax = 40;
constexpr std::size_t kCyrillicLettersMin = 40, kStrangeMax = 30;
constexpr std::size_t kShiftsMin = 4;      // fewer may be chance
constexpr std::ptrdiff_t kLettersMin = 8;  // beyond ASCII: fewer fit many encodings alike

constexpr const char* kUndecided =
    "The text's encoding can't be told for sure. Save it as UTF-8 and send it again.";

Error undecided() { return Error(ExtractionError::Unsupported, kUndecided); }

std::uint8_t at(std::string_view bytes, std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); }

// How the bytes would read as UTF-8.
struct Utf8Form {
  std::size_t characters = 0, sequences = 0, broken = 0;  // sequences: sound ones of several bytes
};

Utf8Form utf8_form(std::string_view bytes) {
  Utf8Form form;
  while (!bytes.empty()) {
    std::size_t length = utf8_character_bytes(bytes);
    if (length > 1) ++form.sequences;
    if (length == 0) ++form.broken;
    ++form.characters;
    bytes.remove_prefix(std::max<std::size_t>(1, length));
  }
  return form;
}

// A unit of UTF-16 or UTF-32.
std::uint32_t unit_at(std::string_view bytes, std::size_t i, std::size_t width, bool big_endian) {
  std::uint32_t value = 0;
  for (std::size_t j = 0; j < width; ++j) {
    value = value << 8 | at(bytes, i + (big_endian ? j : width - 1 - j));
  }
  return value;
}

std::string from_units(std::string_view bytes, std::size_t width, bool big_endian) {
  std::string out;
  std::size_t i = 0;
  for (; i + width <= bytes.size(); i += width) {
    std::uint32_t c = unit_at(bytes, i, width, big_endian);
    if (width == 2 && c >= 0xD800 && c < 0xDC00 && i + 4 <= bytes.size()) {
      std::uint32_t low = unit_at(bytes, i + 2, width, big_endian);
      if (low >= 0xDC00 && low < 0xE000) {
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        i += 2;
      }
    }
    append_utf8(out, c);
  }
  if (i < bytes.size()) append_utf8(out, 0xFFFD);
  return out;
}

bool is_control(std::uint32_t c) {
  return (c < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != '\f') || (c >= 0x7F && c < 0xA0);
}

// Units of wide characters without a mark: every unit must be a character, and white space or ASCII must
// stand among them, which the wrong width or order turns into nonsense.
bool reads_as_units(std::string_view bytes, std::size_t width, bool big_endian) {
  if (bytes.size() < 2 * width || bytes.size() % width != 0) return false;
  bytes = bytes.substr(0, kDetectBytesMax);
  std::size_t units = 0, ascii = 0;
  for (std::size_t i = 0; i + width <= bytes.size(); i += width, ++units) {
    std::uint32_t c = unit_at(bytes, i, width, big_endian);
    if (c > 0x10FFFF || is_control(c) || c == 0xFFFE || c == 0xFFFF) return false;
    if (width == 4 && c >= 0xD800 && c < 0xE000) return false;
    ascii += c < 0x80 ? 1 : 0;
  }
  return width == 4 || ascii * 20 >= units;
}

std::optional<std::string> from_wide(std::string_view bytes) {
  if (bytes.find('\0') == std::string_view::npos) return std::nullopt;
  for (std::size_t width : {4u, 2u}) {
    bool little = reads_as_units(bytes, width, false), big = reads_as_units(bytes, width, true);
    if (little != big) return from_units(bytes, width, big);
  }
  return std::nullopt;
}

std::optional<std::string> from_marked(std::string_view bytes) {
  using namespace std::string_view_literals;
  if (bytes.starts_with("\xEF\xBB\xBF")) return std::string(bytes.substr(3));
  if (bytes.starts_with("\xFF\xFE\0\0"sv) && bytes.size() % 4 == 0)
    return from_units(bytes.substr(4), 4, false);
  if (bytes.starts_with("\0\0\xFE\xFF"sv)) return from_units(bytes.substr(4), 4, true);
  if (bytes.starts_with("\xFF\xFE")) return from_units(bytes.substr(2), 2, false);
  if (bytes.starts_with("\xFE\xFF")) return from_units(bytes.substr(2), 2, true);
  return std::nullopt;
}

// Sound UTF-8, or UTF-8 with a few broken bytes: in other encodings sequences of several bytes hardly ever
// come out sound, so that sound ones in the majority decide.
bool is_utf8(const Utf8Form& form) { return form.broken == 0 || form.sequences > form.broken; }

// Letters of Europe that stand alone between ASCII: the text is in one of the Latin code pages.
bool is_latin(std::string_view bytes) {
  std::size_t high = 0, longest = 0, run = 0;
  for (unsigned char c : bytes) {
    run = c >= 0x80 ? run + 1 : 0;
    high += c >= 0x80 ? 1 : 0;
    longest = std::max(longest, run);
  }
  return longest <= 2 && high * 2 <= bytes.size();
}

// A pure ASCII text that shifts to other characters by escapes (ISO-2022, RFC 1468 and 1557) or by "~{" (HZ,
// RFC 1843). Nothing where it does not.
std::string shifted_encoding(std::string_view bytes) {
  if (std::any_of(bytes.begin(), bytes.end(), [](unsigned char c) { return c >= 0x80 || c == 0; })) return "";
  for (std::string_view mark : {"\x1B$B", "\x1B$@", "\x1B(J"})
    if (bytes.find(mark) != std::string_view::npos) return "ISO-2022-JP";
  if (bytes.find("\x1B$)C") != std::string_view::npos) return "ISO-2022-KR";
  std::size_t shifts = 0;
  for (std::size_t at = bytes.find("~{"); at != std::string_view::npos; at = bytes.find("~{", at)) {
    std::size_t end = bytes.find("~}", at + 2);
    std::string_view inside = bytes.substr(at + 2, end == std::string_view::npos ? 0 : end - at - 2);
    bool pairs = !inside.empty() && inside.size() % 2 == 0 &&
                 std::all_of(inside.begin(), inside.end(), [](char c) { return c > 0x20 && c < 0x7F; });
    if (!pairs) return "";
    ++shifts;
    at = end;
  }
  return shifts >= kShiftsMin ? "HZ" : "";
}

// Characters of four bytes, of which every second is a digit: only GB18030 has them.
bool has_gb18030_form(std::string_view bytes) {
  std::size_t found = 0;
  auto lead = [&](std::size_t i) { return at(bytes, i) >= 0x81 && at(bytes, i) <= 0xFE; };
  auto digit = [&](std::size_t i) { return bytes[i] >= '0' && bytes[i] <= '9'; };
  for (std::size_t i = 0; i + 4 <= bytes.size(); ++i) {
    if (!lead(i) || !digit(i + 1) || !lead(i + 2) || !digit(i + 3)) continue;
    ++found;
    i += 3;
  }
  return found >= kShiftsMin;
}

struct Guess {
  std::string name;
  std::int32_t confidence = 0;
};

std::optional<Guess> best_guess(std::string_view bytes) {
  UErrorCode status = U_ZERO_ERROR;
  std::unique_ptr<UCharsetDetector, decltype(&ucsdet_close)> detector(ucsdet_open(&status), ucsdet_close);
  bytes = bytes.substr(0, kDetectBytesMax);
  ucsdet_setText(detector.get(), bytes.data(), static_cast<std::int32_t>(bytes.size()), &status);
  std::int32_t count = 0;
  const UCharsetMatch** matches = ucsdet_detectAll(detector.get(), &count, &status);
  if (U_FAILURE(status)) return std::nullopt;
  for (std::int32_t i = 0; i < count; ++i) {
    const char* name = ucsdet_getName(matches[i], &status);
    std::int32_t confidence = ucsdet_getConfidence(matches[i], &status);
    // What is not UTF-8 and has no mark was looked at before; ICU's guesses at them are noise here.
    if (U_FAILURE(status) || !name || std::string_view(name).starts_with("UTF-")) continue;
    return Guess{name, confidence};
  }
  return std::nullopt;
}

bool is_multibyte(std::string_view name) {
  return name == "Shift_JIS" || name == "GB18030" || name == "Big5" || name.starts_with("EUC-") ||
         name.starts_with("ISO-2022-");
}

// Labels of the Encoding Standard whose encoding browsers read as a larger one.
std::string widened(std::string label) {
  std::transform(label.begin(), label.end(), label.begin(),
                 [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
  constexpr std::array<std::pair<std::string_view, const char*>, 18> kWidened = {
      {{"iso-8859-1", "windows-1252"},
       {"latin1", "windows-1252"},
       {"us-ascii", "windows-1252"},
       {"ascii", "windows-1252"},
       {"iso-8859-9", "windows-1254"},
       {"iso-8859-11", "windows-874"},
       {"tis-620", "windows-874"},
       {"shift_jis", "ibm-943_P15A-2003"},
       {"shift-jis", "ibm-943_P15A-2003"},
       {"sjis", "ibm-943_P15A-2003"},
       {"x-sjis", "ibm-943_P15A-2003"},
       {"windows-31j", "ibm-943_P15A-2003"},
       {"gb2312", "gb18030"},
       {"gbk", "gb18030"},
       {"x-gbk", "gb18030"},
       {"euc-kr", "windows-949"},
       {"ks_c_5601-1987", "windows-949"},
       {"iso-8859-8-i", "iso-8859-8"}}};
  const auto* found = std::find_if(kWidened.begin(), kWidened.end(),
                                   [&label](const auto& pair) { return pair.first == label; });
  return found == kWidened.end() ? label : std::string(found->second);
}

constexpr std::array<const char*, 5> kCyrillic = {"windows-1251", "KOI8-R", "ISO-8859-5", "IBM866",
                                                  "x-mac-cyrillic"};

// How unlike running text in a Cyrillic script a reading is: capitals after small letters, signs inside
// words, letters of other alphabets than those most texts are in. Of 1000 letters; nothing where there are
// none.
std::optional<std::size_t> strangeness(const std::string& text) {
  std::size_t letters = 0, strange = 0;
  bool after_small = false, after_letter = false;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t length = std::max<std::size_t>(1, utf8_character_bytes(std::string_view(text).substr(i)));
    std::uint32_t c = length == 2 ? (at(text, i) & 0x1Fu) << 6 | (at(text, i + 1) & 0x3Fu) : 0;
    bool ascii = length == 1;
    bool usual = (c >= 0x410 && c <= 0x44F) || c == 0x401 || c == 0x451 || c == 0x404 || c == 0x454 ||
                 c == 0x406 || c == 0x456 || c == 0x407 || c == 0x457;
    bool capital = (c >= 0x410 && c <= 0x42F) || (c >= 0x400 && c <= 0x40F);
    if (usual) {
      ++letters;
      strange += capital && after_small ? 1 : 0;
    } else if (!ascii) {
      strange += after_letter ? 2 : 1;
    }
    after_small = usual && !capital;
    after_letter = usual;
    i += length;
  }
  return letters < kCyrillicLettersMin ? std::nullopt : std::optional(strange * 1000 / letters);
}

// The Cyrillic code page in which the text reads best, when it reads well. Statistics of letters mistake one
// for another, and don't know two of them.
std::optional<std::string> by_cyrillic(std::string_view bytes) {
  std::optional<std::string> best;
  std::size_t least = kStrangeMax + 1;
  for (const char* name : kCyrillic) {
    auto text = decode_as(name, bytes);
    auto found = text ? strangeness(*text) : std::nullopt;
    if (!found || *found >= least) continue;
    least = *found;
    best = *std::move(text);
  }
  return best;
}

bool is_cyrillic(const Guess& guess) {
  return guess.name == "windows-1251" || guess.name == "KOI8-R" || guess.name == "ISO-8859-5" ||
         guess.name == "IBM866";
}

Result<std::string> by_letters(std::string_view bytes) {
  if (has_gb18030_form(bytes)) {
    auto text = decode_as("gb18030", bytes);
    if (text && text->find("\uFFFD") == std::string::npos) return text;
  }
  auto guess = best_guess(bytes);
  if (is_latin(bytes)) {
    // Most such texts read alike in the Western and the Central European code page.
    BULKHEAD_TRY(western, decode_as("windows-1252", bytes));
    BULKHEAD_TRY(central, decode_as("windows-1250", bytes));
    if (western == central || !guess || guess->name == "ISO-8859-1" || guess->name == "windows-1252" ||
        guess->name == "windows-1252") {
      return western;
    }
  }
  bool may_be = !guess || is_cyrillic(*guess) || guess->name == "ISO-8859-1" ||
                guess->name == "windows-1252" || guess->confidence < kSureConfidence;
  if (may_be && !is_latin(bytes)) {
    if (auto text = by_cyrillic(bytes)) return *std::move(text);
  }
  auto letters = std::count_if(bytes.begin(), bytes.end(), [](unsigned char c) { return c >= 0x80; });
  bool is_escaped = guess && guess->name.starts_with("ISO-2022-");
  if (!guess || (letters < kLettersMin && !is_escaped) ||
      guess->confidence < (is_multibyte(guess->name) ? kSureMultibyte : kSureConfidence)) {
    return undecided();
  }
  BULKHEAD_TRY(text, decode_as(guess->name, bytes));
  std::size_t lost = 0;
  for (std::size_t i = text.find("\uFFFD"); i != std::string::npos; i = text.find("\uFFFD", i + 3)) ++lost;
  if (lost * 100 > text.size()) return undecided();
  return text;
}

// The name that follows `key`, its equals sign and its quotes: charset="windows-1251".
std::string value_after(std::string_view head, std::string_view key) {
  std::size_t from = head.find(key);
  if (from == std::string_view::npos) return "";
  std::string_view rest = head.substr(from + key.size());
  rest.remove_prefix(std::min(rest.size(), rest.find_first_not_of(" \t\r\n")));
  if (!rest.starts_with('=')) return "";
  rest.remove_prefix(1);
  rest.remove_prefix(std::min(rest.size(), rest.find_first_not_of(" \t\r\n\"'")));
  return std::string(rest.substr(0, std::min(kLabelBytesMax, rest.find_first_of(" \t\r\n\"';/>?"))));
}

std::string declared_encoding(std::string_view bytes) {
  std::string head(bytes.substr(0, kDeclareBytesMax));
  std::transform(head.begin(), head.end(), head.begin(),
                 [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
  if (head.starts_with("<?xml")) {
    std::string label = value_after(std::string_view(head).substr(0, head.find("?>")), "encoding");
    if (!label.empty()) return label;
  }
  for (std::size_t meta = head.find("<meta"); meta != std::string::npos;
       meta = head.find("<meta", meta + 1)) {
    std::string_view tag = std::string_view(head).substr(meta);
    std::string label = value_after(tag.substr(0, tag.find('>')), "charset");
    if (!label.empty()) return label;
  }
  return "";
}

}  // namespace

Result<std::string> decode_as(const std::string& encoding, std::string_view bytes) {
  UErrorCode status = U_ZERO_ERROR;
  std::unique_ptr<UConverter, decltype(&ucnv_close)> converter(ucnv_open(widened(encoding).c_str(), &status),
                                                               ucnv_close);
  if (U_FAILURE(status)) {
    return Error(ExtractionError::Unsupported,
                 "The text is in an encoding that is not read. Save it as UTF-8 and send it again.");
  }
  std::string out;
  std::array<UChar, 4096> units;
  const char* from = bytes.data();
  const char* end = from + bytes.size();
  std::uint32_t high = 0;
  do {
    UChar* to = units.data();
    status = U_ZERO_ERROR;
    ucnv_toUnicode(converter.get(), &to, units.data() + units.size(), &from, end, nullptr, true, &status);
    for (const UChar* unit = units.data(); unit < to; ++unit) {
      std::uint32_t c = *unit;
      if (high != 0 && c >= 0xDC00 && c < 0xE000) c = 0x10000 + ((high - 0xD800) << 10) + (c - 0xDC00);
      high = c >= 0xD800 && c < 0xDC00 ? c : 0;
      if (high == 0) append_utf8(out, c);
    }
  } while (status == U_BUFFER_OVERFLOW_ERROR);
  return out;
}

Result<std::string> text_to_utf8(std::string_view bytes) {
  if (auto marked = from_marked(bytes)) return *std::move(marked);
  if (auto wide = from_wide(bytes)) return *std::move(wide);
  if (bytes.find('\0') != std::string_view::npos) return undecided();  // no text has it, in any code page
  if (std::string shifted = shifted_encoding(bytes); !shifted.empty()) return decode_as(shifted, bytes);
  if (is_utf8(utf8_form(bytes))) return std::string(bytes);
  return by_letters(bytes);
}

Result<std::string> html_to_utf8(std::string_view bytes) {
  if (auto marked = from_marked(bytes)) return *std::move(marked);
  if (auto wide = from_wide(bytes)) return *std::move(wide);
  if (bytes.find('\0') != std::string_view::npos) return undecided();
  if (std::string shifted = shifted_encoding(bytes); shifted.starts_with("ISO"))
    return decode_as(shifted, bytes);
  std::string declared = declared_encoding(bytes);
  Utf8Form form = utf8_form(bytes);
  bool is_utf8_for_sure = form.sequences > 0 && form.broken == 0;
  // A page that could be read as ASCII can't be in UTF-16, whatever it says; UTF-7 hides markup from checks.
  bool other = !declared.empty() && !declared.starts_with("utf") && !declared.starts_with("unicode");
  if (other && !is_utf8_for_sure) {
    auto text = decode_as(declared, bytes);
    if (text) return text;
  }
  if (is_utf8(form)) return std::string(bytes);
  return by_letters(bytes);
}

}  // namespace bulkhead::extract
