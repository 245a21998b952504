#include <charconv>
#include <cmath>

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

void append_quoted(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  std::size_t plain = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
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

template <typename Number, typename... Format>
void append_number(std::string& out, Number number, Format... format) {
  char text[32];
  auto [end, failed] = std::to_chars(text, text + sizeof text, number, format...);
  static_cast<void>(failed);
  out.append(text, end);
}

}  // namespace

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
  separate();
  append_quoted(out_, name);
  out_ += ':';
  need_comma_ = false;
  return *this;
}
Writer& Writer::value(std::string_view text) {
  separate();
  append_quoted(out_, text);
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
  append_quoted(out, text);
  return out;
}

}  // namespace bulkhead::base::json
