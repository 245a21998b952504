#include "storage/index_terms.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <span>
#include <unordered_set>

namespace bulkhead::storage {
namespace {

using Characters = std::vector<char32_t>;
using Part = std::span<const char32_t>;

// Of one chunk; chunks have at most 900 bytes of text, and heads of questions no more.
constexpr std::size_t kIndexTermsMax = 2'000;
constexpr std::size_t kTermCharactersMax = 40;

// In place of marks inside a term: of category Co, which unicode61 takes for letters.
constexpr char32_t kMark = 0xE000;  // + the place in kMarks
constexpr char32_t kUnit = 0xE010;  // between a number and its unit
constexpr char32_t kAtLeast = 0xE011, kAtMost = 0xE012, kMore = 0xE013, kLess = 0xE014;
constexpr char32_t kCombining = 0xE200;  // + the low bits of a combining mark
constexpr std::u32string_view kMarks = U"-./,:_'+";

constexpr auto kUnits = std::to_array<std::u32string_view>(
    {U"mg",      U"g",    U"kg",  U"\u03bcg", U"mcg", U"ng",  U"t",    U"ml",      U"l",    U"dl",  U"cl",
     U"\u03bcl", U"mmol", U"mol", U"iu",      U"ie",  U"u",   U"%",    U"\u00b0c", U"c",    U"f",   U"mm",
     U"cm",      U"m",    U"km",  U"m2",      U"m3",  U"kpa", U"mmhg", U"bpm",     U"kcal", U"kj",  U"h",
     U"min",     U"s",    U"ms",  U"v",       U"w",   U"kw",  U"hz",   U"mhz",     U"ghz",  U"eur", U"\u20ac",
     U"usd",     U"$",    U"gbp", U"\u00a3",  U"chf", U"kb",  U"mb",   U"gb"});

bool is_digit(char32_t c) { return c >= U'0' && c <= U'9'; }
bool is_letter(char32_t c) { return (c >= U'a' && c <= U'z') || (c >= U'A' && c <= U'Z'); }
bool is_alnum(char32_t c) { return is_digit(c) || is_letter(c); }
char32_t lower(char32_t c) { return c >= U'A' && c <= U'Z' ? c + 0x20 : c; }
bool is_combining(char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
         category == UTF8PROC_CATEGORY_ME;
}
bool is_space(char32_t c) {
  return c == U' ' || c == U'\t' || c == U'\n' || c == U'\r' ||
         utf8proc_category(static_cast<utf8proc_int32_t>(c)) == UTF8PROC_CATEGORY_ZS;
}

bool is_unspaced(char32_t c) {
  return (c >= 0x0E00 && c <= 0x0EFF) || (c >= 0x1000 && c <= 0x109F) || (c >= 0x1780 && c <= 0x17FF) ||
         (c >= 0x3040 && c <= 0x30FF) || (c >= 0x31F0 && c <= 0x31FF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0xAC00 && c <= 0xD7A3) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x20000 && c <= 0x323AF);
}
bool is_hebrew(char32_t c) { return c >= 0x0590 && c <= 0x05FF; }
bool is_arabic(char32_t c) { return c >= 0x0600 && c <= 0x06FF; }

Characters decode(std::string_view text) {
  Characters out;
  out.reserve(text.size());
  const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  auto left = static_cast<utf8proc_ssize_t>(text.size());
  while (left > 0) {
    utf8proc_int32_t c = 0;
    const utf8proc_ssize_t bytes = utf8proc_iterate(at, left, &c);
    if (bytes <= 0) return {};
    out.push_back(static_cast<char32_t>(c));
    at += bytes;
    left -= bytes;
  }
  return out;
}

void append(std::string& out, char32_t c) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const auto count = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes.data());
  out.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(count));
}

class Terms {
 public:
  explicit Terms(std::size_t most) : most_(most) {}
  bool full() const { return terms_.size() >= most_; }
  void add(const std::u32string& term) {
    if (term.empty() || term.size() > kTermCharactersMax || full()) return;
    std::string text;
    for (char32_t c : term) append(text, c);
    if (seen_.insert(text).second) terms_.push_back(std::move(text));
  }
  std::vector<std::string> take() { return std::move(terms_); }

 private:
  std::size_t most_;
  std::vector<std::string> terms_;
  std::unordered_set<std::string> seen_;
};

// --- scripts without spaces ---

// A letter with the marks on it; marks as characters that a tokenizer does not part at.
std::vector<std::u32string> letters_of(Part run) {
  std::vector<std::u32string> letters;
  for (char32_t c : run) {
    const bool mark = is_combining(c);
    if (!mark || letters.empty()) letters.emplace_back();
    letters.back() += mark ? kCombining + (c & 0xFFF) : c;
  }
  return letters;
}

void add_pairs(Part run, Terms& terms) {
  const auto letters = letters_of(run);
  if (letters.size() == 1) terms.add(letters[0]);
  for (std::size_t i = 1; i < letters.size(); ++i) terms.add(letters[i - 1] + letters[i]);
}

// --- Hebrew and Arabic ---

constexpr std::size_t kStemMin = 3;

void add_semitic(Part word, Terms& terms) {
  std::u32string bare;
  for (char32_t c : word) {
    // Marks, and the line that stretches Arabic words.
    if (!is_combining(c) && c != 0x0640) bare += c;
  }
  if (bare.size() != word.size()) terms.add(bare);
  if (bare.empty()) return;
  if (is_hebrew(bare[0])) {
    // And, the, in, as, to, from, that; two of them at most.
    constexpr std::u32string_view kPrefixes = U"\u05d5\u05d4\u05d1\u05db\u05dc\u05de\u05e9";
    for (std::size_t cut = 1; cut <= 2 && bare.size() >= cut + kStemMin; ++cut) {
      if (kPrefixes.find(bare[cut - 1]) == std::u32string_view::npos) break;
      terms.add(bare.substr(cut));
    }
    return;
  }
  // The article, alone and behind and, in, as, so; and "for the".
  for (std::u32string_view prefix : {U"\u0627\u0644", U"\u0648\u0627\u0644", U"\u0628\u0627\u0644",
                                     U"\u0643\u0627\u0644", U"\u0641\u0627\u0644", U"\u0644\u0644"}) {
    if (bare.starts_with(prefix) && bare.size() >= prefix.size() + kStemMin)
      terms.add(bare.substr(prefix.size()));
  }
}

// --- numbers and codes ---

char32_t mark_for(char32_t c) {
  const std::size_t at = kMarks.find(c);
  return at == std::u32string_view::npos ? 0 : kMark + static_cast<char32_t>(at);
}

// From `at`, letters and digits with single marks between them; where it ends.
std::size_t code_end(Part text, std::size_t at) {
  std::size_t end = at;
  while (end < text.size()) {
    if (is_alnum(text[end])) {
      ++end;
    } else if (end > at && mark_for(text[end]) != 0 && is_alnum(text[end - 1]) && end + 1 < text.size() &&
               is_alnum(text[end + 1])) {
      ++end;
    } else {
      break;
    }
  }
  return end;
}

// The length of the number at the front: "1,000.50".
std::size_t number_length(Part part) {
  std::size_t length = 0;
  while (length < part.size()) {
    const bool inside = (part[length] == U'.' || part[length] == U',') && length > 0 &&
                        length + 1 < part.size() && is_digit(part[length + 1]);
    if (!is_digit(part[length]) && !inside) break;
    ++length;
  }
  return length;
}

std::u32string written(Part part) {
  std::u32string term;
  for (char32_t c : part) term += is_alnum(c) ? lower(c) : mark_for(c) != 0 ? mark_for(c) : c;
  return term;
}

std::u32string unit_at(Part text, std::size_t at) {
  std::u32string unit;
  // NFKC makes the micro sign a Greek letter.
  while (at < text.size() && unit.size() < 5 &&
         (is_alnum(text[at]) || text[at] == U'%' || text[at] == U'$' || text[at] >= 0x80) &&
         !is_space(text[at]) && !is_unspaced(text[at])) {
    unit += lower(text[at++]);
  }
  const bool ends = at >= text.size() || !is_alnum(text[at]);
  return ends && std::find(kUnits.begin(), kUnits.end(), unit) != kUnits.end() ? unit : std::u32string();
}

char32_t comparison_before(Part text, std::size_t at) {
  while (at > 0 && is_space(text[at - 1])) --at;
  if (at == 0) return 0;
  const char32_t sign = text[at - 1], before = at > 1 ? text[at - 2] : 0;
  if (sign == 0x2265 || (sign == U'=' && before == U'>')) return kAtLeast;
  if (sign == 0x2264 || (sign == U'=' && before == U'<')) return kAtMost;
  return sign == U'>' ? kMore : sign == U'<' ? kLess : 0;
}

void add_number(Part text, std::size_t at, std::size_t length, Terms& terms) {
  const std::u32string number = written(text.subspan(at, length));
  if (number.size() > 1 && std::any_of(number.begin(), number.end(), [](char32_t c) { return c >= kMark; }))
    terms.add(number);
  std::size_t next = at + length;
  while (next < text.size() && is_space(text[next]) && text[next] != U'\n') ++next;
  if (const std::u32string unit = unit_at(text, next); !unit.empty()) {
    terms.add(number + kUnit + unit);
    if (next == at + length) terms.add(unit);  // "12.5mg" holds it too
  }
  if (const char32_t sign = comparison_before(text, at); sign != 0) terms.add(sign + number);
}

// Codes with marks: as written, and where that is usual without them ("5-FU" and "5FU").
void add_code(Part code, Terms& terms) {
  const bool has_digit = std::any_of(code.begin(), code.end(), is_digit);
  const bool has_mark = !std::all_of(code.begin(), code.end(), is_alnum);
  if (!has_digit || !has_mark) return;
  terms.add(written(code));
  std::u32string joined;
  for (char32_t c : code) {
    if (is_alnum(c)) joined += lower(c);
    if (c == U'.' || c == U',' || c == U':') return;
  }
  terms.add(joined);
}

// Groups of digits that stand apart for the eye: account and telephone numbers.
std::size_t add_groups(Part text, std::size_t at, Terms& terms) {
  std::u32string joined;
  std::size_t digits = 0, groups = 0, end = at;
  while (end < text.size()) {
    std::size_t stop = end;
    while (stop < text.size() && is_alnum(text[stop])) ++stop;
    const Part group = text.subspan(end, stop - end);
    const auto figures = static_cast<std::size_t>(std::count_if(group.begin(), group.end(), is_digit));
    const bool country = groups == 0 && group.size() == 4 && is_letter(group[0]) && is_letter(group[1]);
    if (group.empty() || (figures != group.size() && !(country && figures == 2))) break;
    for (char32_t c : group) joined += lower(c);
    digits += figures;
    ++groups;
    end = stop;
    const bool apart =
        stop + 1 < text.size() && (text[stop] == U' ' || text[stop] == U'-' || text[stop] == U'/');
    if (!apart || !is_alnum(text[stop + 1])) break;
    ++end;
  }
  if (groups >= 2 && digits >= 7) terms.add(joined);
  return groups >= 2 && digits >= 7 ? end : at;
}

void add_figures(Part text, std::size_t at, std::size_t end, Terms& terms) {
  const Part code = text.subspan(at, end - at);
  const std::size_t number = number_length(code);
  if (number > 0) add_number(text, at, number, terms);
  if (number < code.size()) add_code(code, terms);
}

}  // namespace

std::string normalized(std::string_view text) {
  utf8proc_uint8_t* made = nullptr;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
  const auto length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                   static_cast<utf8proc_ssize_t>(text.size()), &made, options);
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owned(made, &std::free);
  if (length < 0) return std::string(text);
  std::string out;
  for (char32_t c : decode({reinterpret_cast<const char*>(made), static_cast<std::size_t>(length)})) {
    const bool hyphen = (c >= 0x2010 && c <= 0x2015) || c == 0x2212 || c == 0x2043;
    append(out, hyphen ? U'-' : is_space(c) && c != U'\n' ? U' ' : c);
  }
  return out;
}

std::vector<std::string> special_terms(std::string_view normalized_text, std::size_t terms_max) {
  const Characters characters = decode(normalized_text);
  const Part text(characters);
  Terms terms(terms_max);
  std::size_t grouped = 0;
  for (std::size_t at = 0; at < text.size() && !terms.full();) {
    const auto run_of = [&](auto&& belongs) {
      std::size_t end = at;
      while (end < text.size() && (belongs(text[end]) || (end > at && is_combining(text[end])))) ++end;
      return end;
    };
    std::size_t end = at + 1;
    if (is_unspaced(text[at])) {
      end = run_of([](char32_t c) { return is_unspaced(c); });
      add_pairs(text.subspan(at, end - at), terms);
    } else if (is_hebrew(text[at]) || is_arabic(text[at])) {
      end = run_of([](char32_t c) { return is_hebrew(c) || is_arabic(c); });
      add_semitic(text.subspan(at, end - at), terms);
    } else if (is_alnum(text[at])) {
      end = code_end(text, at);
      add_figures(text, at, end, terms);
      if (at >= grouped) grouped = std::max(grouped, add_groups(text, at, terms));
    }
    at = end;
  }
  return terms.take();
}

std::string index_text(std::string_view text) {
  std::string out = normalized(text);
  for (const std::string& term : special_terms(out, kIndexTermsMax)) {
    out += ' ';
    out += term;
  }
  return out;
}

bool is_unspaced(std::string_view word) {
  const Characters characters = decode(word);
  return std::any_of(characters.begin(), characters.end(), [](char32_t c) { return is_unspaced(c); });
}

}  // namespace bulkhead::storage
