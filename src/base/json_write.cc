#include <charconv>
#include <cmath>
#include <cstring>

#include "base/json.h"

namespace bulkhead::base::json {

namespace {

// Characters that a JSON string may not hold as they are.
constexpr bool needs_escape(unsigned char c) { return c < 0x20 || c == '"' || c == '\\' || c == 0x7F; }

// Length of the well-formed UTF-8 sequence that `text` begins with (Unicode 15, table 3-7), or 0.
std::size_t sequence_bytes(std::string_view text) {
  auto byte = [text](std::size_t i) { return static_cast<unsigned char>(i < text.size() ? text[i] : 0); };
  auto tail = [byte](std::size_t i) { return (byte(i) & 0xC0) == 0x80; };
  unsigned char lead = byte(0);
  if (lead >= 0xC2 && lead <= 0xDF) return tail(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    if (lead == 0xE0 && byte(1) < 0xA0) return 0;  // overlong
    if (lead == 0xED && byte(1) > 0x9F) return 0;  // surrogate
    return tail(1) && tail(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    if (lead == 0xF0 && byte(1) < 0x90) return 0;  // overlong
    if (lead == 0xF4 && byte(1) > 0x8F) return 0;  // beyond U+10FFFF
    return tail(1) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

constexpr std::uint64_t each_byte(std::uint64_t byte) { return byte * 0x0101'0101'0101'0101; }

// Eight characters at once: may all of them stand as they are? Bytes below 0x20 and equal to zero are
// found by the borrow that subtracting makes (Hacker's Delight, 6-1); a borrow into a neighbour can
// only add a false alarm.
bool all_plain(const char* text) {
  std::uint64_t bytes;
  std::memcpy(&bytes, text, sizeof bytes);
  auto zero = [](std::uint64_t x) { return (x - each_byte(1)) & ~x; };
  std::uint64_t special = bytes | (bytes - each_byte(0x20)) | zero(bytes ^ each_byte('"')) |
                          zero(bytes ^ each_byte('\\')) | zero(bytes ^ each_byte(0x7F));
  return (special & each_byte(0x80)) == 0;
}

bool is_plain(std::string_view text) {
  if (text.size() >= 8) {
    // The last eight overlap those before.
    for (std::size_t i = 0; i + 8 < text.size(); i += 8) {
      if (!all_plain(text.data() + i)) return false;
    }
    return all_plain(text.data() + text.size() - 8);
  }
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || needs_escape(byte)) return false;
  }
  return true;
}

void append_escaped(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  std::size_t plain = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    while (i + 8 <= text.size() && all_plain(text.data() + i)) i += 8;
    if (i >= text.size()) break;
    auto c = static_cast<unsigned char>(text[i]);
    std::size_t sequence = c < 0x80 ? 0 : sequence_bytes(text.substr(i));
    if (sequence > 0) i += sequence - 1;
    if (sequence > 0 || (c < 0x80 && !needs_escape(c))) continue;
    out.append(text.data() + plain, i - plain);
    plain = i + 1;
    if (c >= 0x80) {
      out += "\xEF\xBF\xBD";  // U+FFFD: an answer that isn't UTF-8 would be refused whole
      continue;
    }
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        out += "\\u00";
        out += kHex[c >> 4];
        out += kHex[c & 15];
    }
  }
  out.append(text.data() + plain, text.size() - plain);
  out += '"';
}

// Names and most values need no escaping: those go out in one piece, with what stands around them.
void append_quoted(std::string& out, std::string_view text, bool comma, bool colon) {
  if (!is_plain(text)) {
    if (comma) out += ',';
    append_escaped(out, text);
    if (colon) out += ':';
    return;
  }
  std::size_t at = out.size();
  out.append(comma + text.size() + 2 + colon, '"');
  char* to = out.data() + at;
  if (comma) *to++ = ',';
  if (!text.empty()) std::memcpy(to + 1, text.data(), text.size());
  if (colon) out.back() = ':';
}

template <typename Number, typename... Format>
void append_number(std::string& out, Number number, Format... format) {
  char text[32];
  auto [end, failed] = std::to_chars(text, text + sizeof text, number, format...);
  static_cast<void>(failed);
  out.append(text, end);
}

}  // namespace

// Most documents here have some hundred bytes; growing to that from nothing takes six allocations.
Writer::Writer() { out_.reserve(kBytesExpected); }

void Writer::separate() {
  if (need_comma_) out_ += ',';
  need_comma_ = true;
}

Writer& Writer::begin_object() {
  separate();
  out_ += '{';
  need_comma_ = false;
  return *this;
}
Writer& Writer::end_object() {
  out_ += '}';
  need_comma_ = true;
  return *this;
}
Writer& Writer::begin_array() {
  separate();
  out_ += '[';
  need_comma_ = false;
  return *this;
}
Writer& Writer::end_array() {
  out_ += ']';
  need_comma_ = true;
  return *this;
}
Writer& Writer::key(std::string_view name) {
  append_quoted(out_, name, need_comma_, true);
  need_comma_ = false;
  return *this;
}
Writer& Writer::value(std::string_view text) {
  append_quoted(out_, text, need_comma_, false);
  need_comma_ = true;
  return *this;
}
Writer& Writer::value(bool flag) {
  separate();
  out_ += flag ? "true" : "false";
  return *this;
}
Writer& Writer::value(std::int64_t number) {
  separate();
  append_number(out_, number);
  return *this;
}
Writer& Writer::value(std::uint64_t number) {
  separate();
  append_number(out_, number);
  return *this;
}
Writer& Writer::value(double number) {
  if (!std::isfinite(number)) return null();
  separate();
  // Digits alone would be read as an integer, which beyond 64 bits no strict reader accepts.
  if (std::abs(number) >= 0x1p53) {
    append_number(out_, number, std::chars_format::scientific);
  } else {
    append_number(out_, number);
  }
  return *this;
}
Writer& Writer::null() {
  separate();
  out_ += "null";
  return *this;
}
Writer& Writer::raw(std::string_view json) {
  separate();
  out_ += json;
  return *this;
}

Writer& Writer::copy(const Value& source) {
  if (!source.exists()) return null();
  switch (source.type()) {
    case Type::Null: return null();
    case Type::Bool: return value(*source.as_bool());
    case Type::Int: return value(*source.as_int());
    case Type::Double: return value(*source.as_double());
    case Type::String: return value(*source.as_string());
    case Type::Array:
      begin_array();
      for (std::size_t i = 0; i < source.size(); ++i) copy(source.at(i));
      return end_array();
    case Type::Object:
      begin_object();
      for (std::size_t i = 0; i < source.size(); ++i) {
        key(source.key_at(i));
        copy(source.at(i));
      }
      return end_object();
  }
  return *this;
}

std::string quote(std::string_view text) {
  std::string out;
  append_quoted(out, text, false, false);
  return out;
}

}  // namespace bulkhead::base::json
