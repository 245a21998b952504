#include "extract/number_format.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

namespace bulkhead::extract {

namespace {

constexpr double kDaysMax = 2'958'466;  // of the year 9999
constexpr int kDecimalsMax = 15;

// A code cut into what is drawn as it stands, currencies in brackets, and the letters and signs that count.
struct Section {
  std::string prefix, suffix;  // around the digits
  std::string marks;           // signs that count, in small letters: "yyyy-mm-dd", "#,##0.00"
  bool percent = false, general = false, elapsed = false, thousands = false;
  bool interleaved = false;  // signs between the digits, as in a number of a social insurance
  int decimals = 0, scale = 0, digits = 0;
};

bool is_date(const Section& section) {
  return section.elapsed || section.marks.find_first_of("ymdhs") != std::string::npos;
}

// "[$€-407]" draws the sign; "[Red]" and conditions draw nothing; "[h]" is time that runs on.
void read_brackets(std::string_view inside, Section& out, std::string& literal) {
  if (inside.starts_with('$')) {
    literal += inside.substr(1, inside.find('-') - 1);
  } else if (!inside.empty() && inside.find_first_not_of("hHmMsS") == std::string_view::npos) {
    out.elapsed = true;
    out.marks += inside.front() == 'H' || inside.front() == 'h' ? 'h' : inside.front() == 'm' ? 'm' : 's';
  }
}

void read_mark(char c, Section& out, bool& behind_point) {
  char low = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  out.marks += low;
  if (c == '0' || c == '#' || c == '?') {
    out.interleaved = out.interleaved || !out.suffix.empty();
    ++out.digits;
    if (behind_point) ++out.decimals;
  } else if (c == '.') {
    behind_point = true;
  } else if (c == '%') {
    out.percent = true;
  }
}

Section parse_section(std::string_view code) {
  Section out;
  if (code == "General" || code == "GENERAL" || code.empty()) out.general = true;
  std::string literal;
  bool behind_point = false;
  auto end_literal = [&] {
    (out.digits == 0 ? out.prefix : out.suffix) += literal;
    literal.clear();
  };
  for (std::size_t i = 0; i < code.size(); ++i) {
    char c = code[i];
    if (c == '"') {
      std::size_t end = std::min(code.find('"', i + 1), code.size());
      literal += code.substr(i + 1, end - i - 1);
      i = end;
    } else if (c == '\\' && i + 1 < code.size()) {
      literal += code[++i];
    } else if (c == '_' || c == '*') {
      ++i;  // the width of a character, a fill
    } else if (c == '[') {
      std::size_t end = std::min(code.find(']', i), code.size());
      read_brackets(code.substr(i + 1, end - i - 1), out, literal);
      i = end;
    } else if (c == '%' || std::string_view("0#?.,ymdhsYMDHSeE@/:").find(c) != std::string_view::npos) {
      end_literal();
      read_mark(c, out, behind_point);
      if (c == '%') literal += '%';
    } else if (code.substr(i).starts_with("General")) {
      out.general = true;
      end_literal();
      out.digits = 1;
      i += 6;
    } else if ((c == 'A' || c == 'a') &&
               (code.substr(i + 1).starts_with("M/P") || code.substr(i + 1).starts_with("m/p"))) {
      i += 4;  // times are shown with 24 hours
    } else {
      literal += c;
    }
  }
  end_literal();
  std::size_t last = out.marks.find_last_of("0#?");
  for (std::size_t i = 0; i < out.marks.size(); ++i) {
    if (out.marks[i] != ',') continue;
    if (last != std::string::npos && i < last) out.thousands = true;
    if (last == std::string::npos || i > last) ++out.scale;
  }
  return out;
}

// Sections for positive, negative, zero; fewer serve for the rest. A quoted semicolon parts nothing.
std::vector<std::string> sections_of(std::string_view code) {
  std::vector<std::string> out(1);
  bool quoted = false;
  for (std::size_t i = 0; i < code.size(); ++i) {
    char c = code[i];
    if (c == '\\' && !quoted && i + 1 < code.size()) {
      out.back() += {c, code[++i]};
    } else if (c == ';' && !quoted) {
      out.emplace_back();
    } else {
      if (c == '"') quoted = !quoted;
      out.back() += c;
    }
  }
  return out;
}

std::string two(std::int64_t number) { return (number < 10 ? "0" : "") + std::to_string(number); }

// Gregorian day of a count of days since 1970-01-01 (Howard Hinnant's civil_from_days, public domain method).
std::string iso_date(std::int64_t days) {
  days += 719'468;
  std::int64_t era = days / 146'097, day_of_era = days % 146'097;
  std::int64_t year_of_era =
      (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  std::int64_t month = (5 * day_of_year + 2) / 153;
  std::int64_t day = day_of_year - (153 * month + 2) / 5 + 1;
  month = month < 10 ? month + 3 : month - 9;
  std::int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  return std::to_string(year) + "-" + two(month) + "-" + two(day);
}

std::string shown_date(double number, const Section& section, bool from_1904) {
  const std::string& marks = section.marks;
  auto has = [&marks](char c) { return marks.find(c) != std::string::npos; };
  std::int64_t seconds = std::llround(number * 86'400);
  std::int64_t days = seconds / 86'400, of_day = seconds % 86'400;
  bool time = has('h') || has('s') || section.elapsed;
  bool date = !section.elapsed && (has('y') || has('d') || (has('m') && !time));
  if (section.elapsed)
    return std::to_string(seconds / 3'600) + ":" + two(seconds / 60 % 60) + ":" + two(seconds % 60);
  std::string out;
  if (date) {
    // Excel counts a 29 February 1900 that never was; days before it are one later.
    std::int64_t since_1970 = from_1904 ? days - 24'107 : days - 25'569 + (days < 60 ? 1 : 0);
    out = iso_date(since_1970);
    // A format of months alone shows no day.
    if (!has('d') && out.size() > 7) out.resize(has('m') ? out.size() - 3 : out.size() - 6);
  }
  if (!time) return out;
  if (!out.empty()) out += ' ';
  out += two(of_day / 3'600) + ":" + two(of_day / 60 % 60);
  return has('s') ? out + ":" + two(of_day % 60) : out;
}

std::string with_thousands(const std::string& digits) {
  std::size_t point = std::min(digits.find('.'), digits.size());
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && i < point && (point - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

// The 15 digits that spreadsheets count with, and the power of ten of the first. The number isn't negative.
struct Decimal {
  std::string digits;
  int exponent = 0;
};

Decimal decimal_of(double number) {
  char buffer[64];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::scientific, 14);
  std::string text(buffer, end.ptr);
  std::size_t mark = text.find('e');
  return {text.substr(0, 1) + text.substr(2, mark - 2), std::atoi(text.c_str() + mark + 1)};
}

// The first `keep` digits, a half rounded up as spreadsheets do: 0.125 with two decimals is 0.13. A carry
// beyond the first digit raises the exponent.
void round_to(Decimal& decimal, std::size_t keep) {
  bool up = decimal.digits[keep] >= '5';
  decimal.digits.resize(keep);
  for (std::size_t i = keep; up && i-- > 0;) {
    up = decimal.digits[i] == '9';
    decimal.digits[i] = up ? '0' : static_cast<char>(decimal.digits[i] + 1);
  }
  if (!up) return;
  decimal.digits.insert(0, 1, '1');
  ++decimal.exponent;
}

std::string fixed(double number, int decimals) {
  Decimal decimal = decimal_of(number);
  int keep = decimal.exponent + 1 + decimals;
  if (number > 0 && keep >= 0 && keep < static_cast<int>(decimal.digits.size())) {
    int whole = decimal.exponent + 1;
    round_to(decimal, static_cast<std::size_t>(keep));
    whole += decimal.exponent + 1 > whole ? 1 : 0;
    if (whole <= 0) {
      decimal.digits.insert(0, static_cast<std::size_t>(1 - whole), '0');
      whole = 1;
    }
    decimal.digits.resize(static_cast<std::size_t>(whole + decimals), '0');
    if (decimals > 0) decimal.digits.insert(static_cast<std::size_t>(whole), 1, '.');
    return decimal.digits;
  }
  char buffer[400];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::fixed, decimals);
  return end.ec == std::errc() ? std::string(buffer, end.ptr) : std::string();
}

// The shortest of what a cell of 15 digits shows: 0.1 rather than 0.10000000000000001.
std::string general(double number) {
  // Numbers of accounts and the like are long, and looked for by their digits.
  bool plain = std::abs(number) < 1e21 && (number == 0 || std::abs(number) >= 1e-7);
  if (plain) {
    Decimal decimal = decimal_of(std::abs(number));
    std::string text = decimal.digits;
    while (text.size() > 1 && text.ends_with('0')) text.pop_back();
    int whole = decimal.exponent + 1;
    if (whole <= 0) {
      text.insert(0, static_cast<std::size_t>(1 - whole), '0');
      whole = 1;
    }
    auto point = static_cast<std::size_t>(whole);
    if (text.size() < point) text.resize(point, '0');
    if (text.size() > point) text.insert(point, 1, '.');
    return (number < 0 ? "-" : "") + text;
  }
  char buffer[64];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::general, 15);
  std::string text(buffer, end.ptr);
  std::replace(text.begin(), text.end(), 'e', 'E');
  return text;
}

// "1.98E+08" for 0.00E+00; the marks say how many digits stand where.
std::string scientific(double number, const Section& section) {
  std::size_t mark = section.marks.find('e'), point = section.marks.find('.');
  auto figures = [&section](std::size_t from, std::size_t to) {
    auto begin = section.marks.begin();
    return std::count_if(begin + static_cast<std::ptrdiff_t>(from), begin + static_cast<std::ptrdiff_t>(to),
                         [](char c) { return c == '0' || c == '#' || c == '?'; });
  };
  auto decimals = static_cast<std::size_t>(point < mark ? figures(point, mark) : 0);
  auto width = static_cast<std::size_t>(figures(mark, section.marks.size()));
  Decimal decimal = decimal_of(number);
  if (decimals + 1 < decimal.digits.size()) round_to(decimal, decimals + 1);
  decimal.digits.resize(decimals + 1, '0');
  if (decimals > 0) decimal.digits.insert(1, 1, '.');
  std::string exponent = std::to_string(std::abs(decimal.exponent));
  if (exponent.size() < std::min<std::size_t>(width, 5))
    exponent.insert(0, std::min<std::size_t>(width, 5) - exponent.size(), '0');
  return decimal.digits + (decimal.exponent < 0 ? "E-" : "E+") + exponent;
}

std::string shown_decimal(double number, const Section& section) {
  if (section.percent) number *= 100;
  for (int i = 0; i < std::min(section.scale, 6); ++i) number /= 1'000;
  bool is_scientific = section.marks.find('e') != std::string::npos;
  bool fraction = section.marks.find('/') != std::string::npos;
  if (is_scientific && !section.general) {
    // The sign in the format belongs to the power.
    std::string_view after = section.suffix;
    while (after.starts_with('+') || after.starts_with('-')) after.remove_prefix(1);
    return section.prefix + scientific(number, section) + std::string(after);
  }
  if (section.general || fraction) return section.prefix + general(number) + section.suffix;
  if (section.interleaved) return general(number);
  if (section.digits == 0) return section.prefix + section.suffix;
  std::string digits = fixed(number, std::min(section.decimals, kDecimalsMax));
  // Decimals that are shown only when they are not zero.
  std::size_t point = section.marks.find('.');
  if (point != std::string::npos && digits.find('.') != std::string::npos) {
    auto optional = static_cast<std::size_t>(
        std::count(section.marks.begin() + static_cast<std::ptrdiff_t>(point), section.marks.end(), '#'));
    for (; optional > 0 && digits.ends_with('0'); --optional) digits.pop_back();
    if (digits.ends_with('.')) digits.pop_back();
  }
  // "00000" keeps the zeros of a postcode.
  auto whole = static_cast<std::size_t>(std::count(
      section.marks.begin(),
      section.marks.begin() + static_cast<std::ptrdiff_t>(std::min(point, section.marks.size())), '0'));
  std::size_t have = std::min(digits.find('.'), digits.size());
  if (have < whole) digits.insert(0, std::min<std::size_t>(whole - have, 30), '0');
  return section.prefix + (section.thousands ? with_thousands(digits) : digits) + section.suffix;
}

}  // namespace

std::string_view builtin_number_format(int id) {
  switch (id) {
    case 1: return "0";
    case 2: return "0.00";
    case 3: return "#,##0";
    case 4: return "#,##0.00";
    case 9: return "0%";
    case 10: return "0.00%";
    case 11:
    case 48: return "0.00E+00";
    case 14:
    case 15:
    case 30: return "yyyy-mm-dd";
    case 16: return "mm-dd";
    case 17: return "yyyy-mm";
    case 18:
    case 20: return "h:mm";
    case 19:
    case 21: return "h:mm:ss";
    case 22: return "yyyy-mm-dd h:mm";
    // The currency of 5 to 8, 42 and 44 is the reader's own, so that none is shown.
    case 5:
    case 6:
    case 41:
    case 42:
    case 37:
    case 38: return "#,##0;-#,##0";
    case 7:
    case 8:
    case 43:
    case 44:
    case 39:
    case 40: return "#,##0.00;-#,##0.00";
    case 45: return "mm:ss";
    case 46: return "[h]:mm:ss";
    case 47: return "mm:ss";
    default:
      // 27 to 36 and 50 to 58 are dates of East Asian locales.
      return (id >= 27 && id <= 36) || (id >= 50 && id <= 58) ? "yyyy-mm-dd" : "General";
  }
}

std::string shown_number(const std::string& value, std::string_view code, bool from_1904) {
  double number = 0;
  auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (failed != std::errc() || end != value.data() + value.size() || !std::isfinite(number)) return value;
  auto sections = sections_of(code.substr(0, 400));
  bool own_negative = number < 0 && sections.size() > 1;
  std::size_t which = own_negative ? 1 : number == 0 && sections.size() > 2 ? 2 : 0;
  Section section = parse_section(sections[which]);
  if (section.general && section.prefix.empty() && section.suffix.empty()) return general(number);
  if (section.marks.find('@') != std::string::npos && section.digits == 0) return value;
  if (is_date(section) && !section.general) {
    return number >= 0 && number < kDaysMax ? shown_date(number, section, from_1904) : value;
  }
  std::string shown = shown_decimal(std::abs(number), section);
  // A section of its own for negative numbers draws their sign, or brackets, itself; one that only makes
  // them red would lose it here.
  bool drawn = own_negative && section.prefix.find_first_of("-(\xE2") != std::string::npos;
  return number < 0 && !drawn ? "-" + shown : shown;
}

}  // namespace bulkhead::extract
