#include "guard/answer_pattern.h"

#include <cctype>
#include <cstdint>
#include <optional>

namespace bulkhead::guard {

namespace {

constexpr std::string_view kSpecial = "^$.[](){}|*+?";
constexpr std::size_t kNumberDigitsMax = 4;

// A recursive descent over the pattern between its anchors; `depth` bounds it.
class PatternReader {
 public:
  explicit PatternReader(std::string_view text) : text_(text) {}

  ReadPattern read() {
    bool repeats = false;
    alternatives(0, repeats);
    if (ok() && at_ < text_.size()) fail("closes a group that was never opened.");
    return ok() ? ReadPattern{"^" + out_ + "$", ""} : ReadPattern{"", fault_};
  }

 private:
  bool ok() const { return fault_.empty(); }
  bool more() const { return ok() && at_ < text_.size(); }
  char next() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void fail(std::string_view why) {
    if (ok()) fault_ = std::string(why);
  }

  // `repeats`: something in here can match more than once.
  void alternatives(std::size_t depth, bool& repeats) {
    if (depth > kPatternDepthMax) return fail("nests more than 16 groups.");
    while (more() && next() != ')') {
      if (next() == '|') {
        out_ += text_[at_++];
        continue;
      }
      bool inner = false;
      if (!atom(depth, inner)) return;
      repeats = quantifier(inner) || inner || repeats;
    }
  }

  bool atom(std::size_t depth, bool& inner) {
    const char c = next();
    if (c == '(') {
      group(depth, inner);
    } else if (c == '[') {
      char_class();
    } else if (c == '\\') {
      escape();
    } else if (c == '.') {
      out_ += text_[at_++];
    } else if (kSpecial.find(c) != std::string_view::npos) {
      fail(c == '^' || c == '$' ? "has an anchor inside."
                                : "has a '" + std::string(1, c) + "' out of place.");
    } else {
      out_ += text_[at_++];
      // The rest of a character of several bytes, so that a repetition is of all of it.
      while (more() && (static_cast<unsigned char>(next()) & 0xC0) == 0x80) out_ += text_[at_++];
    }
    return ok();
  }

  void group(std::size_t depth, bool& inner) {
    ++at_;
    if (text_.substr(at_, 2) == "?:") {
      at_ += 2;
    } else if (next() == '?') {
      return fail("uses look-around, a named group or flags, which are not served.");
    }
    if (next() == ')') return fail("has an empty group.");
    out_ += '(';
    alternatives(depth + 1, inner);
    if (next() != ')') return fail("leaves a group open.");
    ++at_;
    out_ += ')';
  }

  // An escape outside a class. The converter keeps some of them and knows no others.
  void escape() {
    const char c = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    if (auto set = class_of(c)) {
      out_ += "[" + std::string(*set) + "]";
    } else if (c == 't' || c == 'n' || c == 'r') {
      out_ += text_.substr(at_, 2);
    } else if (c == 'x' || c == 'u') {
      return hex_escape(c == 'x' ? 2 : 4);
    } else if (!std::ispunct(static_cast<unsigned char>(c))) {
      return fail(
          "uses an escape that is not served; known are \\d, \\w, \\s, \\t, \\n, \\r, \\x, \\u and marks.");
    } else if (kSpecial.find(c) != std::string_view::npos || c == '\\' || c == '"') {
      out_ += {'\\', c};
    } else {
      out_ += c;
    }
    at_ += 2;
  }

  static std::optional<std::string_view> class_of(char c) {
    if (c == 'd') return "0-9";
    if (c == 'w') return "A-Za-z0-9_";
    if (c == 's') return " \\t\\n\\r";
    return std::nullopt;
  }

  void hex_escape(std::size_t digits) {
    std::string_view hex = text_.substr(std::min(at_ + 2, text_.size()), digits);
    bool fits = hex.size() == digits && hex.find_first_not_of("0123456789abcdefABCDEF") == hex.npos;
    if (!fits) return fail("has an unfinished \\x or \\u.");
    out_ += text_.substr(at_, 2 + digits);
    at_ += 2 + digits;
  }

  void char_class() {
    out_ += text_[at_++];
    if (next() == '^') out_ += text_[at_++];
    std::size_t members = 0;
    int before = -1;  // the character that a '-' would begin a range at; -1: none
    while (more() && next() != ']') {
      ++members;
      const bool range = next() == '-' && before >= 0 && at_ + 1 < text_.size() && text_[at_ + 1] != ']';
      if (range) {
        out_ += text_[at_++];
        const int low = before;
        before = class_member();
        if (before < 0 || before < low) return fail("has a range of characters that runs backwards.");
        before = -1;
      } else {
        before = class_member();
      }
    }
    if (next() != ']') return fail("leaves a class open.");
    if (members == 0) return fail("has an empty class.");
    out_ += text_[at_++];
  }

  // The character, or -1 when it can be no end of a range. Characters beyond ASCII count by their first byte,
  // which orders them as their code points are ordered.
  int class_member() {
    const char c = next();
    if (c == '\\') {
      const char escaped = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
      if (auto set = class_of(escaped)) {
        out_ += *set;
        at_ += 2;
        return -1;
      }
      if (escaped == 'x' || escaped == 'u') {
        std::size_t digits = escaped == 'x' ? 2 : 4, begin = at_ + 2;
        hex_escape(digits);
        return ok() ? std::stoi(std::string(text_.substr(begin, digits)), nullptr, 16) : -1;
      }
      if (escaped == 't' || escaped == 'n' || escaped == 'r') {
        out_ += {'\\', escaped};
        at_ += 2;
        return escaped == 't' ? '\t' : escaped == 'n' ? '\n' : '\r';
      }
      if (!std::ispunct(static_cast<unsigned char>(escaped))) {
        fail("uses an escape in a class that is not served.");
        return -1;
      }
      ++at_;
    }
    const char plain = next();
    if (plain == ']' || plain == '[' || plain == '\\' || plain == '-') {
      out_ += {'\\', plain};
    } else if (plain == '^') {
      out_ += "\\x5E";
    } else {
      out_ += plain;
    }
    ++at_;
    while (more() && (static_cast<unsigned char>(next()) & 0xC0) == 0x80) out_ += text_[at_++];
    return static_cast<unsigned char>(plain);
  }

  // Whether it can match more than once. A repetition of a repetition matches one text in many ways, and
  // the ways multiply with each character.
  bool quantifier(bool inner) {
    bool repeats = false;
    const char c = next();
    if (c == '*' || c == '+') {
      repeats = true;
      out_ += text_[at_++];
    } else if (c == '?') {
      out_ += text_[at_++];
    } else if (c == '{') {
      repeats = counted();
    } else {
      return false;
    }
    if (next() == '?') ++at_;  // lazy: the same texts match
    if (repeats && inner) fail("repeats a group that repeats itself, which is not served.");
    if (next() == '*' || next() == '+' || next() == '?' || next() == '{') {
      fail("has two repetitions in a row.");
    }
    return repeats;
  }

  bool counted() {
    ++at_;
    auto low = number();
    std::optional<std::int64_t> high = low;
    bool open = false;
    if (next() == ',') {
      ++at_;
      open = next() == '}';
      high = open ? low : number();
    }
    if (!low || !high || next() != '}') {
      fail("has a repetition that is none of {n}, {n,} and {n,m} with numbers of at most 1000.");
      return false;
    }
    ++at_;
    if (*low > *high) {
      fail("has a repetition {" + std::to_string(*low) + "," + std::to_string(*high) +
           "} whose least number is above its greatest.");
    }
    out_ += "{" + std::to_string(*low);
    out_ += open ? ",}" : *low == *high ? "}" : "," + std::to_string(*high) + "}";
    return open || *high > 1;
  }

  std::optional<std::int64_t> number() {
    std::size_t end = at_;
    while (end < text_.size() && std::isdigit(static_cast<unsigned char>(text_[end]))) ++end;
    if (end == at_ || end - at_ > kNumberDigitsMax) return std::nullopt;
    std::int64_t value = std::stoi(std::string(text_.substr(at_, end - at_)));
    at_ = end;
    return value <= kRepetitionMax ? std::optional(value) : std::nullopt;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string out_;
  std::string fault_;
};

}  // namespace

ReadPattern read_answer_pattern(std::string_view pattern) {
  if (pattern.size() > kPatternBytesMax) return {"", "is longer than 2048 bytes."};
  if (pattern.size() < 2 || pattern.front() != '^' || pattern.back() != '$') {
    return {"", "must begin with ^ and end with $."};
  }
  return PatternReader(pattern.substr(1, pattern.size() - 2)).read();
}

}  // namespace bulkhead::guard
