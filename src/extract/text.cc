// Plain text: UTF-8, UTF-16 with a byte order mark, else Windows-1252.
#include <array>

#include "extract/document.h"

namespace bulkhead::extract {

using base::Result;

namespace {

constexpr std::size_t kHeadingBytesMax = 100;

std::string from_utf16(std::string_view bytes, bool big_endian) {
  std::string out;
  auto unit = [&](std::size_t i) {
    auto a = static_cast<unsigned char>(bytes[i]);
    auto b = static_cast<unsigned char>(bytes[i + 1]);
    return static_cast<std::uint32_t>(big_endian ? a << 8 | b : b << 8 | a);
  };
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
    std::uint32_t c = unit(i);
    bool pair = c >= 0xD800 && c < 0xDC00 && i + 3 < bytes.size();
    if (pair) {
      std::uint32_t low = unit(i + 2);
      if (low >= 0xDC00 && low < 0xE000) {
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        i += 2;
      }
    }
    append_utf8(out, c);
  }
  return out;
}

// 0x80 to 0x9F of Windows-1252; the rest is Latin-1.
constexpr std::array<std::uint16_t, 32> kWindows1252 = {
    0x20AC, 0xFFFD, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0xFFFD, 0x017D, 0xFFFD, 0xFFFD, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0xFFFD, 0x017E, 0x0178};

std::string from_windows1252(std::string_view bytes) {
  std::string out;
  for (char byte : bytes) {
    auto c = static_cast<unsigned char>(byte);
    append_utf8(out, c >= 0x80 && c < 0xA0 ? kWindows1252[c - 0x80] : c);
  }
  return out;
}

std::string_view trimmed(std::string_view line) {
  while (!line.empty() && static_cast<unsigned char>(line.back()) <= 0x20) line.remove_suffix(1);
  while (!line.empty() && static_cast<unsigned char>(line.front()) <= 0x20) line.remove_prefix(1);
  return line;
}

bool is_rule(std::string_view line) {
  return line.size() >= 3 && line.find_first_not_of("=-_*~#") == std::string_view::npos;
}

// Short, begins a section, no sentence end: "3. On-call rota", "ESCALATION".
bool looks_like_heading(std::string_view line) {
  if (line.empty() || line.size() > kHeadingBytesMax) return false;
  char last = line.back();
  if (last == '.' || last == ',' || last == ';') return false;
  bool upper = false, lower = false;
  for (char c : line) {
    upper = upper || (c >= 'A' && c <= 'Z');
    lower = lower || (c >= 'a' && c <= 'z');
  }
  if (upper && !lower) return true;
  bool numbered = line[0] >= '0' && line[0] <= '9' && line.find_first_of(".)") < 4 && line.find(' ') < 6;
  return numbered && line.size() < 70;
}

bool is_list_item(std::string_view line) {
  return line.starts_with("- ") || line.starts_with("* ") || line.starts_with("\u2022 ");
}

}  // namespace

std::string to_utf8(std::string_view bytes) {
  if (bytes.starts_with("\xEF\xBB\xBF")) return std::string(bytes.substr(3));
  if (bytes.starts_with("\xFF\xFE")) return from_utf16(bytes.substr(2), false);
  if (bytes.starts_with("\xFE\xFF")) return from_utf16(bytes.substr(2), true);
  bool valid = clean_text(bytes, true).find("\uFFFD") == std::string::npos ||
               bytes.find("\uFFFD") != std::string_view::npos;
  return valid ? std::string(bytes) : from_windows1252(bytes);
}

Result<Document> extract_text(std::string_view content, const Limits& limits) {
  DocumentBuilder builder("text", limits);
  std::string paragraph;
  bool list = false;
  std::size_t lines = 0;
  auto flush = [&](bool underlined) {
    bool heading = lines == 1 && !list && (underlined || looks_like_heading(paragraph));
    builder.add(heading ? BlockKind::Heading : list ? BlockKind::ListItem : BlockKind::Paragraph, paragraph,
                heading ? (underlined ? 1 : 2) : 0);
    paragraph.clear();
    lines = 0;
    list = false;
  };
  std::string_view rest = content;
  while (!rest.empty()) {
    std::size_t end = rest.find('\n');
    std::string_view line = trimmed(rest.substr(0, end));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    if (line.empty()) {
      flush(false);
    } else if (is_rule(line)) {
      flush(true);
    } else {
      if (is_list_item(line) || (lines == 1 && !list && looks_like_heading(paragraph))) flush(false);
      if (is_list_item(line)) {
        list = true;
        line = trimmed(line.substr(line.find(' ')));
      }
      if (!paragraph.empty()) paragraph += ' ';
      paragraph += line;
      ++lines;
    }
  }
  flush(false);
  return builder.take();
}

}  // namespace bulkhead::extract
