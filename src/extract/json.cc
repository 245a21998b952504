// JSON (RFC 8259) as lines that stand alone: the path to an object, then its keys with their values as they
// are written. Also one value a line.
#include <algorithm>

#include "extract/readers.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr int kDepthMax = 100;
constexpr std::size_t kLineBytesMax = 1'000;  // a longer object goes on in a line of its own
constexpr std::size_t kPathBytesMax = 300;

Error malformed() {
  return Error(ExtractionError::Invalid,
               "The file is no valid JSON. Mend it, or name it .txt to keep it as text.");
}

int hex_value(std::string_view digits) {
  int value = 0;
  for (char c : digits) {
    int digit = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

class Reader {
 public:
  Reader(std::string_view text, const Limits& limits) : rest_(text), builder_("json", limits) {}

  Result<Document> read() {
    skip_space();
    while (!rest_.empty() && !builder_.full()) {
      if (!read_value("", 0)) return error();
      skip_space();
    }
    return builder_.take();
  }

 private:
  Error error() const {
    return too_deep_ ? Error(ExtractionError::Invalid, "The JSON is nested too deeply. Flatten it.")
                     : malformed();
  }

  void skip_space() {
    while (!rest_.empty() && std::string_view(" \t\r\n").find(rest_.front()) != std::string_view::npos)
      rest_.remove_prefix(1);
  }

  bool take(char c) {
    skip_space();
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool at_container() {
    skip_space();
    return rest_.starts_with('{') || rest_.starts_with('[');
  }

  bool read_value(const std::string& path, int depth) {
    if (builder_.full()) return true;
    if (depth > kDepthMax) {
      too_deep_ = true;
      return false;
    }
    if (take('{')) return read_object(path, depth);
    if (take('[')) return read_array(path, depth);
    std::string scalar;
    if (!read_scalar(scalar)) return false;
    builder_.add(BlockKind::Paragraph, scalar);
    return true;
  }

  // Scalars of an object share a line; what is nested stands behind it under its own path.
  bool read_object(const std::string& path, int depth) {
    std::string line;
    if (take('}')) return true;
    do {
      std::string key;
      skip_space();
      if (!read_string(key) || !take(':')) return false;
      if (at_container()) {
        std::string list;
        if (read_scalars(list)) {
          add_member(line, path, key, list);
        } else {
          end_line(line, path);
          if (!read_value(joined(path, key), depth + 1)) return false;
        }
        continue;
      }
      std::string value;
      if (!read_scalar(value)) return false;
      add_member(line, path, key, value);
    } while (take(','));
    end_line(line, path);
    return take('}');
  }

  bool read_array(const std::string& path, int depth) {
    if (take(']')) return true;
    do {
      if (at_container()) {
        if (!read_value(path, depth + 1)) return false;
        continue;
      }
      std::string value;
      if (!read_scalar(value)) return false;
      builder_.add(BlockKind::ListItem, path.empty() ? value : path + ": " + value);
    } while (take(','));
    return take(']');
  }

  // A short array of scalars only, as "a, b, c"; else nothing is taken.
  bool read_scalars(std::string& out) {
    std::string_view before = rest_;
    bool is_list = take('[');
    while (is_list) {
      std::string value;
      is_list = !at_container() && read_scalar(value) && out.size() + value.size() < kLineBytesMax;
      if (!is_list) break;
      out += (out.empty() ? "" : ", ") + value;
      if (take(']')) return true;
      is_list = take(',');
    }
    rest_ = before;
    return false;
  }

  void add_member(std::string& line, const std::string& path, const std::string& key,
                  const std::string& value) {
    if (value.empty()) return;
    if (line.size() + value.size() > kLineBytesMax) end_line(line, path);
    line += (line.empty() ? "" : "; ") + key + ": " + value;
  }

  void end_line(std::string& line, const std::string& path) {
    if (!line.empty()) builder_.add(BlockKind::TableRow, path.empty() ? line : path + ": " + line);
    line.clear();
  }

  static std::string joined(const std::string& path, const std::string& key) {
    std::string out = path.empty() ? key : path + " / " + key;
    return out.size() > kPathBytesMax ? path : out;
  }

  // Numbers stay as they are written: 1.10 is no 1.1.
  bool read_scalar(std::string& out) {
    skip_space();
    if (rest_.starts_with('"')) return read_string(out);
    std::size_t end = std::min(rest_.find_first_of(" \t\r\n,]}:"), rest_.size());
    std::string_view word = rest_.substr(0, end);
    bool number = !word.empty() && word.find_first_not_of("0123456789+-.eE") == std::string_view::npos;
    if (!number && word != "true" && word != "false" && word != "null") return false;
    if (word != "null") out = word;
    rest_.remove_prefix(end);
    return true;
  }

  bool read_string(std::string& out) {
    if (!rest_.starts_with('"')) return false;
    rest_.remove_prefix(1);
    while (!rest_.empty()) {
      std::size_t end = rest_.find_first_of("\"\\");
      if (end == std::string_view::npos) return false;
      out += rest_.substr(0, end);
      bool closes = rest_[end] == '"';
      rest_.remove_prefix(end + 1);
      if (closes) return true;
      if (!read_escape(out)) return false;
    }
    return false;
  }

  bool read_escape(std::string& out) {
    if (rest_.empty()) return false;
    char c = rest_.front();
    rest_.remove_prefix(1);
    if (c == 'u') return read_unicode(out);
    constexpr std::string_view kEscapes = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    std::size_t at = kEscapes.find(c);
    if (at == std::string_view::npos) return false;
    out += kMeanings[at];
    return true;
  }

  bool read_unicode(std::string& out) {
    if (rest_.size() < 4) return false;
    int unit = hex_value(rest_.substr(0, 4));
    if (unit < 0) return false;
    rest_.remove_prefix(4);
    auto character = static_cast<std::uint32_t>(unit);
    if (unit >= 0xD800 && unit < 0xDC00 && rest_.size() >= 6 && rest_.starts_with("\\u")) {
      int low = hex_value(rest_.substr(2, 4));
      if (low >= 0xDC00 && low < 0xE000) {
        character = 0x10000 + ((character - 0xD800) << 10) + (static_cast<std::uint32_t>(low) - 0xDC00);
        rest_.remove_prefix(6);
      }
    }
    append_utf8(out, character);
    return true;
  }

  std::string_view rest_;
  DocumentBuilder builder_;
  bool too_deep_ = false;
};

}  // namespace

Result<Document> extract_json(std::string_view text, const Limits& limits) {
  return Reader(text, limits).read();
}

}  // namespace bulkhead::extract
