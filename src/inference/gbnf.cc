#include "inference/gbnf.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <string>

#include "inference/utf8.h"

namespace bulkhead::inference {

using base::Error;
using base::Result;

namespace {

using Kind = GrammarElement::Kind;
using Elements = std::vector<GrammarElement>;

constexpr std::uint32_t kCodePointMax = 0x10FFFF;
constexpr std::size_t kNumberDigitsMax = 6;

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_'; }

}  // namespace

bool CharClass::meets(std::uint32_t low, std::uint32_t high) const {
  if (!negated) {
    return std::any_of(ranges.begin(), ranges.end(),
                       [&](const auto& range) { return range.first <= high && low <= range.second; });
  }
  // All of low to high excluded by one range is the only way to be out; several that join are rare, and then
  // a character is let in whose rest is refused.
  return std::none_of(ranges.begin(), ranges.end(),
                      [&](const auto& range) { return range.first <= low && high <= range.second; });
}

bool Grammar::matches(const GrammarElement& one, std::uint32_t low, std::uint32_t high) const {
  if (one.kind == Kind::Char) return low <= one.value && one.value <= high;
  return classes_[one.value].meets(low, high);
}

std::size_t Grammar::effort(const GrammarElement& one) const {
  return one.kind == Kind::Char ? 1 : 1 + classes_[one.value].ranges.size();
}

class GbnfCompiler {
 public:
  GbnfCompiler(std::string_view text, const GrammarBounds& bounds) : text_(text), bounds_(bounds) {}

  Result<std::shared_ptr<const Grammar>> compile() {
    if (text_.size() > bounds_.bytes) return failed("too long");
    skip_space(true);
    while (ok() && at_ < text_.size()) rule();
    if (ok()) check_whole();
    if (!ok()) return failed(fault_);
    lay_out();
    return std::shared_ptr<const Grammar>(std::move(grammar_));
  }

 private:
  bool ok() const { return fault_ == nullptr; }
  void fail(const char* why) {
    if (ok()) fault_ = why;
  }
  static Error failed(const char* why) {
    return Error(InferenceError::BadGrammar, "The answer's format can't be turned into a grammar.", why);
  }
  char next(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  void skip_space(bool lines) {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else if (c == ' ' || c == '\t' || (lines && (c == '\n' || c == '\r'))) {
        ++at_;
      } else {
        return;
      }
    }
  }

  std::string_view word() {
    const std::size_t begin = at_;
    while (is_word(next())) ++at_;
    if (at_ == begin) fail("a name was expected");
    return text_.substr(begin, at_ - begin);
  }

  std::uint32_t named(std::string_view name) {
    auto [found, fresh] = names_.emplace(name, rules_.size());
    if (fresh) add_rule();
    return found->second;
  }
  std::uint32_t add_rule() {
    rules_.emplace_back();
    defined_.push_back(false);
    return static_cast<std::uint32_t>(rules_.size() - 1);
  }
  void define(std::uint32_t rule, Elements elements) {
    // A rule that is given twice is the later one, as in llama.cpp.
    rules_[rule] = std::move(elements);
    defined_[rule] = true;
  }

  void rule() {
    const std::uint32_t id = named(word());
    skip_space(false);
    if (text_.substr(at_, 3) != "::=") return fail("a rule without ::=");
    at_ += 3;
    skip_space(true);
    define(id, alternatives(false, 0));
    if (ok() && at_ < text_.size() && next() != '\n' && next() != '\r')
      return fail("a rule that doesn't end");
    skip_space(true);
  }

  Elements alternatives(bool nested, std::size_t depth) {
    Elements out;
    if (depth > bounds_.depth) {
      fail("too many nested groups");
      return out;
    }
    sequence(out, nested, depth);
    while (ok() && next() == '|') {
      ++at_;
      skip_space(true);
      out.push_back({Kind::Alternative, 0, 1, 1});
      sequence(out, nested, depth);
    }
    out.push_back({Kind::End, 0, 1, 1});
    return out;
  }

  void sequence(Elements& out, bool nested, std::size_t depth) {
    std::size_t last = out.size();
    bool repeatable = false;
    while (ok() && at_ < text_.size()) {
      if (++elements_ > bounds_.elements) return fail("too large");
      const char c = next();
      if (c == '*' || c == '+' || c == '?' || c == '{') {
        if (!repeatable || last == out.size()) return fail("nothing to repeat");
        repeat(out, last);
        skip_space(nested);
        continue;
      }
      const std::size_t begin = out.size();
      if (c == '"') {
        literal(out);
      } else if (c == '[') {
        char_class(out);
      } else if (c == '.') {
        ++at_;
        add_class(out, {false, {{0, kCodePointMax}}});
      } else if (c == '(') {
        ++at_;
        skip_space(true);
        const std::uint32_t group = add_rule();
        define(group, alternatives(true, depth + 1));
        if (next() != ')') return fail("a group that doesn't end");
        ++at_;
        out.push_back({Kind::Rule, group, 1, 1});
      } else if (is_word(c)) {
        out.push_back({Kind::Rule, named(word()), 1, 1});
      } else {
        return;
      }
      last = begin;
      repeatable = true;
      skip_space(nested);
    }
  }

  void add_class(Elements& out, CharClass one) {
    out.push_back({Kind::Class, static_cast<std::uint32_t>(classes_.size()), 1, 1});
    classes_.push_back(std::move(one));
    if (++elements_ > bounds_.elements) fail("too large");
  }

  void literal(Elements& out) {
    ++at_;
    while (ok() && next() != '"') {
      out.push_back({Kind::Char, character(), 1, 1});
      if (++elements_ > bounds_.elements) fail("too large");
    }
    ++at_;
  }

  void char_class(Elements& out) {
    ++at_;
    CharClass one;
    if (next() == '^') {
      one.negated = true;
      ++at_;
    }
    while (ok() && next() != ']') {
      const std::uint32_t low = character();
      std::uint32_t high = low;
      if (next() == '-' && next(1) != ']') {
        ++at_;
        high = character();
      }
      if (high < low) return fail("a range that runs backwards");
      one.ranges.emplace_back(low, high);
      if (++elements_ > bounds_.elements) return fail("too large");
    }
    ++at_;
    add_class(out, std::move(one));
  }

  std::uint32_t character() {
    if (at_ >= text_.size()) {
      fail("it ends too early");
      return 0;
    }
    if (next() != '\\') return read_utf8();
    const char c = next(1);
    at_ += 2;
    switch (c) {
      case 'x': return hex(2);
      case 'u': return hex(4);
      case 'U': return hex(8);
      case 't': return '\t';
      case 'r': return '\r';
      case 'n': return '\n';
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-': return static_cast<unsigned char>(c);
      default: fail("an escape that is not known"); return 0;
    }
  }

  std::uint32_t hex(std::size_t digits) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      const char c = next();
      if (!std::isxdigit(static_cast<unsigned char>(c))) {
        fail("an unfinished escape");
        return 0;
      }
      const int digit = std::isdigit(static_cast<unsigned char>(c)) ? c - '0' : (c | 0x20) - 'a' + 10;
      value = value << 4 | static_cast<std::uint32_t>(digit);
      ++at_;
    }
    return value;
  }

  std::uint32_t read_utf8() {
    Utf8State state;
    while (at_ < text_.size()) {
      auto code_point = state.add(static_cast<std::uint8_t>(text_[at_++]));
      if (state.invalid()) break;
      if (code_point) return *code_point;
    }
    fail("text that is not UTF-8");
    return 0;
  }

  std::uint32_t number() {
    std::size_t end = at_;
    while (end < text_.size() && std::isdigit(static_cast<unsigned char>(text_[end]))) ++end;
    if (end == at_ || end - at_ > kNumberDigitsMax) {
      fail("a number of repetitions that is none or too large");
      return 0;
    }
    auto value = static_cast<std::uint32_t>(std::stoul(std::string(text_.substr(at_, end - at_))));
    at_ = end;
    if (value > bounds_.repetitions) fail("too many repetitions");
    return value;
  }

  // The item from `last` on becomes one that is counted.
  void repeat(Elements& out, std::size_t last) {
    std::uint32_t least = 0, greatest = GrammarElement::kNoGreatest;
    const char c = next();
    ++at_;
    if (c == '+') {
      least = 1;
    } else if (c == '?') {
      greatest = 1;
    } else if (c == '{') {
      skip_space(true);
      least = greatest = number();
      skip_space(true);
      if (next() == ',') {
        ++at_;
        skip_space(true);
        greatest = next() == '}' ? GrammarElement::kNoGreatest : number();
        skip_space(true);
      }
      if (next() != '}') return fail("a repetition that doesn't end");
      ++at_;
    }
    if (least > greatest) return fail("a repetition whose least number is above its greatest");
    std::uint32_t item = 0;
    if (out.size() == last + 1 && out[last].kind == Kind::Rule) {
      item = out[last].value;
    } else {
      item = add_rule();
      Elements inner(out.begin() + static_cast<std::ptrdiff_t>(last), out.end());
      inner.push_back({Kind::End, 0, 1, 1});
      define(item, std::move(inner));
    }
    out.resize(last);
    out.push_back({Kind::Repeat, item, least, greatest});
  }

  // Which rules can match nothing; each element is looked at a bounded number of times.
  void find_nullable() {
    nullable_.assign(rules_.size(), false);
    std::vector<std::vector<std::uint32_t>> users(rules_.size());
    std::vector<std::uint32_t> work;
    for (std::uint32_t rule = 0; rule < rules_.size(); ++rule) {
      for (const GrammarElement& one : rules_[rule]) {
        if (one.kind == Kind::Rule || one.kind == Kind::Repeat) users[one.value].push_back(rule);
      }
      work.push_back(rule);
    }
    while (!work.empty()) {
      const std::uint32_t rule = work.back();
      work.pop_back();
      if (nullable_[rule] || !matches_nothing(rule)) continue;
      nullable_[rule] = true;
      work.insert(work.end(), users[rule].begin(), users[rule].end());
    }
  }
  bool passes_empty(const GrammarElement& one) const {
    if (one.kind == Kind::Rule) return nullable_[one.value];
    return one.kind == Kind::Repeat && (one.least == 0 || nullable_[one.value]);
  }
  bool matches_nothing(std::uint32_t rule) const {
    bool empty = true;
    for (const GrammarElement& one : rules_[rule]) {
      if (one.ends()) {
        if (empty) return true;
        empty = true;
      } else {
        empty = empty && passes_empty(one);
      }
    }
    return false;
  }

  // What a rule can begin with; a rule that can begin with itself would be expanded without end.
  std::vector<std::uint32_t> beginnings(std::uint32_t rule) const {
    std::vector<std::uint32_t> out;
    bool first = true;
    for (const GrammarElement& one : rules_[rule]) {
      if (one.ends()) {
        first = true;
        continue;
      }
      if (first && !one.is_text()) out.push_back(one.value);
      first = first && passes_empty(one);
    }
    return out;
  }
  bool left_recursive() const {
    enum class Mark : std::uint8_t { New, Open, Done };
    std::vector<Mark> marks(rules_.size(), Mark::New);
    struct Visit {
      std::uint32_t rule;
      std::vector<std::uint32_t> to;
    };
    for (std::uint32_t start = 0; start < rules_.size(); ++start) {
      if (marks[start] != Mark::New) continue;
      std::vector<Visit> path;
      path.push_back({start, beginnings(start)});
      marks[start] = Mark::Open;
      while (!path.empty()) {
        Visit& visit = path.back();
        if (visit.to.empty()) {
          marks[visit.rule] = Mark::Done;
          path.pop_back();
          continue;
        }
        const std::uint32_t to = visit.to.back();
        visit.to.pop_back();
        if (marks[to] == Mark::Open) return true;
        if (marks[to] == Mark::Done) continue;
        marks[to] = Mark::Open;
        path.push_back({to, beginnings(to)});
      }
    }
    return false;
  }

  void check_whole() {
    if (std::find(defined_.begin(), defined_.end(), false) != defined_.end()) {
      return fail("a rule that is not defined");
    }
    if (!names_.contains("root")) return fail("no rule root");
    find_nullable();
    if (left_recursive()) fail("a rule that begins with itself");
  }

  void lay_out() {
    grammar_.reset(new Grammar);
    for (const Elements& rule : rules_) {
      std::vector<std::uint32_t>& starts = grammar_->alternatives_.emplace_back();
      starts.push_back(static_cast<std::uint32_t>(grammar_->elements_.size()));
      for (const GrammarElement& one : rule) {
        grammar_->elements_.push_back(one);
        if (one.kind == Kind::Alternative) {
          starts.push_back(static_cast<std::uint32_t>(grammar_->elements_.size()));
        }
      }
    }
    grammar_->classes_ = std::move(classes_);
    grammar_->root_ = names_.find("root")->second;
  }

  std::string_view text_;
  const GrammarBounds bounds_;
  std::size_t at_ = 0, elements_ = 0;
  const char* fault_ = nullptr;
  std::map<std::string, std::uint32_t, std::less<>> names_;
  std::vector<Elements> rules_;
  std::vector<bool> defined_, nullable_;
  std::vector<CharClass> classes_;
  std::unique_ptr<Grammar> grammar_;
};

Result<std::shared_ptr<const Grammar>> Grammar::compile(std::string_view gbnf, const GrammarBounds& bounds) {
  return GbnfCompiler(gbnf, bounds).compile();
}

}  // namespace bulkhead::inference
