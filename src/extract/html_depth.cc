#include "extract/html_depth.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <unordered_map>

namespace bulkhead::extract {

namespace {

// Elements that HTML lets stand open or that hold nothing: an opening tag of theirs says nothing of depth.
constexpr std::array<std::string_view, 30> kNotNesting = {
    "p",     "li",    "td",    "th",    "tr",    "dt",       "dd",       "br",   "hr",    "img",
    "meta",  "link",  "col",   "wbr",   "input", "option",   "area",     "base", "embed", "source",
    "track", "param", "thead", "tbody", "tfoot", "colgroup", "optgroup", "html", "head",  "body"};

// How many elements stand open at most, estimated from the tags. Gumbo's time grows with the square of
// the depth, so that a small page could hold a processor until its limit.
class DepthEstimate {
 public:
  explicit DepthEstimate(std::string_view content) {
    for (std::size_t at = content.find('<'); at != std::string_view::npos; at = content.find('<', at + 1)) {
      bool closing = content.substr(at + 1).starts_with('/');
      std::string name = name_at(content.substr(at + (closing ? 2 : 1)));
      if (name.empty()) continue;
      if (closing) {
        close(name);
      } else if (open_["svg"] + open_["math"] > 0 ||
                 std::find(kNotNesting.begin(), kNotNesting.end(), name) == kNotNesting.end()) {
        // In drawings and formulas every element nests.
        ++open_[name];
        deepest_ = std::max(deepest_, ++depth_);
      }
    }
  }
  std::size_t deepest() const { return deepest_; }

 private:
  // Long enough to tell HTML's own elements apart.
  static constexpr std::size_t kNameBytesMax = 12;

  static std::string name_at(std::string_view text) {
    std::string name;
    for (std::size_t i = 0; i < std::min(text.size(), kNameBytesMax); ++i) {
      auto c = static_cast<unsigned char>(text[i]);
      if (!std::isalnum(c)) break;
      name += static_cast<char>(std::tolower(c));
    }
    return name;
  }

  void close(const std::string& name) {
    auto found = open_.find(name);
    if (found == open_.end() || found->second == 0) return;
    --found->second;
    --depth_;
  }

  std::unordered_map<std::string, std::size_t> open_;
  std::size_t depth_ = 0, deepest_ = 0;
};

}  // namespace

std::size_t deepest_elements(std::string_view page) { return DepthEstimate(page).deepest(); }

}  // namespace bulkhead::extract
