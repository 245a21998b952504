#include "http/detail/signature_base.h"

#include <algorithm>

#include "base/bytes.h"
#include "http/detail/syntax.h"

namespace bulkhead::http::detail {

namespace {

constexpr std::size_t kComponentsMax = 64;

// Reads from the front of a field, character by character; every `take` says whether it succeeded.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  bool at_end() const { return text_.empty(); }
  std::string_view rest() const { return text_; }

  bool take(std::string_view expected) {
    if (!text_.starts_with(expected)) return false;
    text_.remove_prefix(expected.size());
    return true;
  }
  // sf-string without escapes: none of our values needs one.
  bool take_string(std::string& out) {
    if (!take("\"")) return false;
    const std::size_t end = text_.find('"');
    if (end == std::string_view::npos) return false;
    const std::string_view content = text_.substr(0, end);
    for (char c : content) {
      if (c < 0x20 || c > 0x7e || c == '\\') return false;
    }
    out = content;
    text_.remove_prefix(end + 1);
    return true;
  }
  // sf-integer, not negative, at most 15 digits, no leading zero.
  bool take_integer(std::int64_t& out) {
    std::size_t digits = 0;
    while (digits < text_.size() && text_[digits] >= '0' && text_[digits] <= '9') ++digits;
    if (digits == 0 || digits > 15 || (digits > 1 && text_[0] == '0')) return false;
    out = static_cast<std::int64_t>(*parse_decimal(text_.substr(0, digits)));
    text_.remove_prefix(digits);
    return true;
  }
  std::string_view take_key() {
    std::size_t size = 0;
    while (size < text_.size() && text_[size] >= 'a' && text_[size] <= 'z') ++size;
    const std::string_view key = text_.substr(0, size);
    text_.remove_prefix(size);
    return key;
  }

 private:
  std::string_view text_;
};

bool read_components(Reader& reader, std::vector<std::string>& out) {
  if (!reader.take("(")) return false;
  if (reader.take(")")) return true;
  for (;;) {
    std::string name;
    if (out.size() == kComponentsMax || !reader.take_string(name) || name.empty()) return false;
    if (std::find(out.begin(), out.end(), name) != out.end()) return false;
    out.push_back(std::move(name));
    if (reader.take(")")) return true;
    if (!reader.take(" ")) return false;
  }
}

bool read_parameters(Reader& reader, SignatureInput& input) {
  unsigned seen = 0;
  while (!reader.at_end()) {
    if (!reader.take(";")) return false;
    const std::string_view key = reader.take_key();
    if (!reader.take("=")) return false;
    unsigned bit = 0;
    bool good = false;
    if (key == "created") {
      bit = 1;
      good = reader.take_integer(input.created);
    } else if (key == "expires") {
      bit = 2;
      good = reader.take_integer(input.expires);
    } else if (key == "nonce") {
      bit = 4;
      good = reader.take_string(input.nonce);
    } else if (key == "keyid") {
      bit = 8;
      good = reader.take_string(input.key_id);
    } else if (key == "alg") {
      bit = 16;
      good = reader.take_string(input.algorithm);
    }
    if (!good || (seen & bit) != 0) return false;
    seen |= bit;
  }
  return seen == 31;
}

}  // namespace

std::string component_list(const std::vector<std::string>& names) {
  std::string out = "(";
  for (const std::string& name : names) {
    if (out.size() > 1) out.push_back(' ');
    out.append("\"").append(name).append("\"");
  }
  out.push_back(')');
  return out;
}

std::string signature_base(const std::vector<Component>& components, std::string_view parameters) {
  std::string out;
  std::vector<std::string> names;
  for (const auto& [name, value] : components) {
    out.append("\"").append(name).append("\": ").append(value).append("\n");
    names.push_back(name);
  }
  out.append("\"@signature-params\": ").append(component_list(names)).append(parameters);
  return out;
}

std::optional<SignatureInput> parse_signature_input(std::string_view field) {
  Reader reader(field);
  SignatureInput input;
  if (!reader.take(kSignatureLabel) || !reader.take("=") || !read_components(reader, input.components)) {
    return std::nullopt;
  }
  input.parameters = reader.rest();
  if (!read_parameters(reader, input)) return std::nullopt;
  return input;
}

std::optional<std::string> parse_byte_sequence(std::string_view field, std::string_view label) {
  Reader reader(field);
  if (!reader.take(label) || !reader.take("=:")) return std::nullopt;
  std::string_view rest = reader.rest();
  if (!rest.ends_with(':')) return std::nullopt;
  rest.remove_suffix(1);
  const auto bytes = base::base64_decode(rest);
  if (!bytes) return std::nullopt;
  return std::string(base::as_text(*bytes));
}

}  // namespace bulkhead::http::detail
