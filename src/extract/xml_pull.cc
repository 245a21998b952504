#include "extract/xml_pull.h"

#include <algorithm>
#include <charconv>

#include "extract/document.h"

namespace bulkhead::extract {

namespace {

constexpr std::size_t kAttributesMax = 200;
constexpr std::size_t kDepthMax = 200;
constexpr std::size_t kReferenceBytesMax = 12;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string_view without_prefix(std::string_view name) {
  std::size_t colon = name.rfind(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

// Appends what "&name;" stands for, or its own text when it stands for nothing.
void append_reference(std::string& out, std::string_view name) {
  if (name == "lt") {
    out += '<';
  } else if (name == "gt") {
    out += '>';
  } else if (name == "amp") {
    out += '&';
  } else if (name == "quot") {
    out += '"';
  } else if (name == "apos") {
    out += '\'';
  } else if (name.starts_with('#')) {
    bool hex = name.size() > 1 && name[1] == 'x';
    std::uint32_t character = 0;
    std::string_view digits = name.substr(hex ? 2 : 1);
    std::from_chars(digits.data(), digits.data() + digits.size(), character, hex ? 16 : 10);
    append_utf8(out, character);
  } else {
    out += "&" + std::string(name) + ";";
  }
}

std::string decoded(std::string_view raw) {
  std::string out;
  out.reserve(raw.size());
  while (!raw.empty()) {
    std::size_t mark = std::min(raw.find('&'), raw.size());
    out += raw.substr(0, mark);
    raw.remove_prefix(mark);
    if (raw.empty()) break;
    std::size_t end = raw.substr(0, kReferenceBytesMax).find(';');
    if (end == std::string_view::npos) {
      out += '&';
      raw.remove_prefix(1);
    } else {
      append_reference(out, raw.substr(1, end - 1));
      raw.remove_prefix(end + 1);
    }
  }
  return out;
}

}  // namespace

std::string XmlPull::attribute(std::string_view name) const {
  for (const auto& [key, value] : attributes_) {
    if (key == name) return decoded(value);
  }
  return "";
}

bool XmlPull::skip_past(std::string_view end) {
  std::size_t at = rest_.find(end);
  if (at == std::string_view::npos) return false;
  rest_.remove_prefix(at + end.size());
  return true;
}

XmlPull::Event XmlPull::damage() {
  damaged_ = true;
  rest_ = {};
  return Event::End;
}

XmlPull::Event XmlPull::next() {
  if (closes_itself_) {
    closes_itself_ = false;
    --depth_;
    return Event::Close;
  }
  while (!rest_.empty()) {
    if (rest_.front() != '<') {
      std::size_t end = std::min(rest_.find('<'), rest_.size());
      text_ = decoded(rest_.substr(0, end));
      rest_.remove_prefix(end);
      return Event::Text;
    }
    if (rest_.starts_with("<!--")) {
      if (!skip_past("-->")) return damage();
    } else if (rest_.starts_with("<![CDATA[")) {
      std::size_t end = rest_.find("]]>");
      if (end == std::string_view::npos) return damage();
      text_ = rest_.substr(9, end - 9);
      rest_.remove_prefix(end + 3);
      return Event::Text;
    } else if (rest_.starts_with("<?")) {
      if (!skip_past("?>")) return damage();
    } else if (rest_.starts_with("<!")) {
      // A document type: with declarations inside it ends with "]>".
      std::size_t inner = rest_.find('['), end = rest_.find('>');
      if (!skip_past(inner < end ? "]>" : ">")) return damage();
    } else {
      return rest_.starts_with("</") ? close_tag() : open_tag();
    }
  }
  if (depth_ > 0) return damage();
  return Event::End;
}

XmlPull::Event XmlPull::close_tag() {
  std::size_t end = rest_.find('>');
  if (end == std::string_view::npos || depth_ == 0) return damage();
  std::string_view name = rest_.substr(2, end - 2);
  while (!name.empty() && is_space(name.back())) name.remove_suffix(1);
  name_ = without_prefix(name);
  rest_.remove_prefix(end + 1);
  --depth_;
  return Event::Close;
}

XmlPull::Event XmlPull::open_tag() {
  rest_.remove_prefix(1);
  std::size_t end = rest_.find_first_of(" \t\r\n/>");
  if (end == std::string_view::npos || end == 0 || depth_ >= kDepthMax) return damage();
  name_ = without_prefix(rest_.substr(0, end));
  rest_.remove_prefix(end);
  attributes_.clear();
  while (true) {
    while (!rest_.empty() && is_space(rest_.front())) rest_.remove_prefix(1);
    if (rest_.starts_with('>') || rest_.starts_with("/>")) break;
    std::size_t equals = rest_.find('=');
    if (equals == std::string_view::npos || attributes_.size() >= kAttributesMax) return damage();
    std::string_view key = rest_.substr(0, equals);
    while (!key.empty() && is_space(key.back())) key.remove_suffix(1);
    rest_.remove_prefix(equals + 1);
    while (!rest_.empty() && is_space(rest_.front())) rest_.remove_prefix(1);
    if (rest_.empty() || (rest_.front() != '"' && rest_.front() != '\'')) return damage();
    std::size_t close = rest_.find(rest_.front(), 1);
    if (close == std::string_view::npos) return damage();
    attributes_.emplace_back(without_prefix(key), rest_.substr(1, close - 1));
    rest_.remove_prefix(close + 1);
  }
  closes_itself_ = rest_.front() == '/';
  rest_.remove_prefix(closes_itself_ ? 2 : 1);
  ++depth_;
  return Event::Open;
}

}  // namespace bulkhead::extract
