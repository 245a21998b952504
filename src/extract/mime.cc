#include "extract/mime.h"

#include <algorithm>
#include <array>
#include <optional>

#include "extract/encoding.h"

namespace bulkhead::extract {

namespace {

constexpr std::size_t kFieldsMax = 1'000;
constexpr std::size_t kFieldBytesMax = 64 << 10;

std::string_view trimmed(std::string_view text) {
  auto blank = [](char c) { return static_cast<unsigned char>(c) <= 0x20; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// Takes the next line off, without its end.
std::string_view take_line(std::string_view& rest) {
  std::size_t end = std::min(rest.find('\n'), rest.size());
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

int hex_digit(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

std::optional<char> hex_byte(std::string_view text) {
  if (text.size() < 2) return std::nullopt;
  int high = hex_digit(text[0]), low = hex_digit(text[1]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(high * 16 + low);
}

std::string decode_base64(std::string_view text) {
  std::string out;
  std::uint32_t bits = 0;
  int held = 0;
  for (char c : text) {
    int value = c >= 'A' && c <= 'Z'   ? c - 'A'
                : c >= 'a' && c <= 'z' ? c - 'a' + 26
                : c >= '0' && c <= '9' ? c - '0' + 52
                : c == '+'             ? 62
                : c == '/'             ? 63
                                       : -1;
    if (c == '=') {
      held = 0;
      bits = 0;
    }
    if (value < 0) continue;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    held += 6;
    if (held >= 8) {
      held -= 8;
      out += static_cast<char>(bits >> held & 0xFF);
    }
  }
  return out;
}

// `spaces`: whether an underscore stands for a space, as in encoded words.
std::string decode_quoted(std::string_view text, bool spaces) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '_' && spaces) {
      out += ' ';
    } else if (text[i] != '=') {
      out += text[i];
    } else if (auto byte = hex_byte(text.substr(i + 1))) {
      out += *byte;
      i += 2;
    } else {
      std::size_t end = text.find_first_not_of(" \t\r", i + 1);
      if (end != std::string_view::npos && text[end] == '\n') {
        i = end;  // a soft line break
      } else {
        out += '=';
      }
    }
  }
  return out;
}

// A field is read whatever its bytes are: what can't be told is taken as the Western code page.
std::string decode_named(std::string_view bytes, std::string_view charset) {
  charset = charset.substr(0, charset.find('*'));  // a language tag (RFC 2231, 5)
  auto text = charset.empty() ? text_to_utf8(bytes) : decode_as(std::string(charset), bytes);
  if (!text) text = text_to_utf8(bytes);
  if (!text) text = decode_as("windows-1252", bytes);
  return text ? *text : std::string();
}

std::string decode_percent(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto byte = text[i] == '%' ? hex_byte(text.substr(i + 1)) : std::nullopt;
    out += byte.value_or(text[i]);
    if (byte) i += 2;
  }
  return out;
}

struct EncodedWord {
  std::string charset, bytes;
  std::size_t length = 0;
};

// "=?charset?B?text?=" at the front.
std::optional<EncodedWord> encoded_word(std::string_view text) {
  if (!text.starts_with("=?")) return std::nullopt;
  std::size_t first = text.find('?', 2);
  if (first == std::string_view::npos || first + 2 >= text.size() || text[first + 2] != '?')
    return std::nullopt;
  std::size_t end = text.find("?=", first + 3);
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view content = text.substr(first + 3, end - first - 3);
  if (content.find_first_of("\r\n?") != std::string_view::npos) return std::nullopt;
  char how = text[first + 1];
  bool base64 = how == 'B' || how == 'b';
  if (!base64 && how != 'Q' && how != 'q') return std::nullopt;
  return EncodedWord{std::string(text.substr(2, first - 2)),
                     base64 ? decode_base64(content) : decode_quoted(content, true), end + 2};
}

// The value of a parameter, and what stands behind it.
std::string take_parameter(std::string_view& rest) {
  rest = trimmed(rest);
  std::string out;
  if (rest.starts_with('"')) {
    rest.remove_prefix(1);
    while (!rest.empty() && rest.front() != '"') {
      if (rest.front() == '\\' && rest.size() > 1) rest.remove_prefix(1);
      out += rest.front();
      rest.remove_prefix(1);
    }
  } else {
    out = trimmed(rest.substr(0, rest.find(';')));
  }
  std::size_t end = std::min(rest.find(';'), rest.size());
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return out;
}

// "name*0*", "name*1": the pieces of a long value (RFC 2231, 3 and 4).
std::string join_pieces(const std::map<std::string, std::string>& raw, const std::string& name) {
  constexpr int kPiecesMax = 100;
  std::string joined, charset;
  bool any = false, encoded = false;
  auto add = [&](const std::string& key, bool is_first) {
    auto plain = raw.find(key), starred = raw.find(key + "*");
    if (plain == raw.end() && starred == raw.end()) return false;
    if (starred == raw.end()) {
      joined += plain->second;
      return any = true;
    }
    std::string_view value = starred->second;
    encoded = true;
    std::size_t language = is_first ? value.find('\'') : std::string_view::npos;
    std::size_t text = language == std::string_view::npos ? language : value.find('\'', language + 1);
    if (text != std::string_view::npos) {
      charset = value.substr(0, language);
      value.remove_prefix(text + 1);
    }
    joined += decode_percent(value);
    return any = true;
  };
  if (!add(name, true)) {
    for (int i = 0; i < kPiecesMax && add(name + "*" + std::to_string(i), i == 0); ++i) continue;
  }
  if (!any) return "";
  return encoded ? decode_named(joined, charset) : decode_words(joined);
}

}  // namespace

std::string lower_ascii(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return out;
}

MimeEntity parse_entity(std::string_view bytes) {
  MimeEntity out;
  std::string name;
  bool first = true;
  while (!bytes.empty()) {
    std::string_view before = bytes;
    std::string_view line = take_line(bytes);
    if (line.empty()) {
      // Lines before the first field are no end of the fields.
      if (!first || out.fields.empty()) {
        out.body = bytes;
        return out;
      }
      continue;
    }
    bool folded = line.front() == ' ' || line.front() == '\t';
    if (folded) {
      auto found = out.fields.find(name);
      if (found != out.fields.end() && found->second.size() < kFieldBytesMax)
        found->second += " " + std::string(trimmed(line));
      continue;
    }
    first = false;
    std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) {
      if (line.starts_with("From ") && out.fields.empty()) continue;
      out.body = before;  // no header field: the body has begun
      return out;
    }
    name = lower_ascii(trimmed(line.substr(0, colon)));
    if (out.fields.count(name) > 0 || out.fields.size() >= kFieldsMax) {
      name.clear();
    } else {
      out.fields[name] = trimmed(line.substr(colon + 1)).substr(0, kFieldBytesMax);
    }
  }
  return out;
}

MimeValue parse_mime_value(std::string_view field) {
  constexpr std::size_t kParametersMax = 200;
  MimeValue out;
  std::size_t semicolon = std::min(field.find(';'), field.size());
  out.value = lower_ascii(trimmed(field.substr(0, semicolon)));
  std::string_view rest = field.substr(std::min(semicolon + 1, field.size()));
  std::map<std::string, std::string> raw;
  while (!trimmed(rest).empty() && raw.size() < kParametersMax) {
    std::size_t equals = rest.find('=');
    if (equals == std::string_view::npos) break;
    std::string name = lower_ascii(trimmed(rest.substr(0, equals)));
    rest.remove_prefix(equals + 1);
    std::string value = take_parameter(rest);
    raw.emplace(name, value);
  }
  for (const auto& [name, value] : raw) {
    std::string plain = name.substr(0, name.find('*'));
    if (out.parameters.count(plain) == 0) out.parameters[plain] = join_pieces(raw, plain);
  }
  return out;
}

std::string decode_words(std::string_view field) {
  std::string plain, out, bytes, charset;
  // Bytes of words that follow each other are joined: a character may be cut between them.
  auto end_words = [&] {
    if (!bytes.empty()) out += decode_named(bytes, charset);
    bytes.clear();
  };
  auto end_plain = [&] {
    out += decode_named(plain, "");
    plain.clear();
  };
  while (!field.empty()) {
    auto word = encoded_word(field);
    if (!word) {
      plain += field.front();
      field.remove_prefix(1);
      continue;
    }
    bool between_words = !bytes.empty() && trimmed(plain).empty();
    if (between_words) plain.clear();
    if (!between_words || word->charset != charset) end_words();
    end_plain();
    charset = word->charset;
    bytes += word->bytes;
    field.remove_prefix(word->length);
  }
  end_words();
  end_plain();
  return out;
}

std::string decode_transfer(std::string_view body, std::string_view encoding) {
  std::string how = lower_ascii(trimmed(encoding));
  if (how == "base64") return decode_base64(body);
  if (how == "quoted-printable") return decode_quoted(body, false);
  return std::string(body);
}

std::vector<std::string_view> split_multipart(std::string_view body, const std::string& boundary,
                                              std::size_t parts_max) {
  std::vector<std::string_view> parts;
  if (boundary.empty()) return parts;
  const std::string mark = "--" + boundary;
  const char* start = nullptr;
  std::string_view rest = body;
  while (!rest.empty() && parts.size() < parts_max) {
    const char* line_start = rest.data();
    std::string_view line = take_line(rest);
    if (!line.starts_with(mark)) continue;
    std::string_view tail = trimmed(line.substr(mark.size()));
    if (!tail.empty() && tail != "--") continue;
    if (start) parts.emplace_back(start, static_cast<std::size_t>(line_start - start));
    start = tail == "--" ? nullptr : rest.data();
    if (tail == "--") return parts;
  }
  // A part that nothing ends is one all the same.
  if (start && parts.size() < parts_max)
    parts.emplace_back(start, static_cast<std::size_t>(body.data() + body.size() - start));
  return parts;
}

}  // namespace bulkhead::extract
