// Reads XML front to back without a tree, for sheets whose tree would be many times their size.
//
// Knows elements, attributes, text, CDATA, the five built-in entities and character references. Comments,
// processing instructions and a document type are passed over; no entity is defined by a document, and
// nothing outside is fetched. Names come without their prefix. Damage ends the reading: `next` gives End and
// `damaged` tells. Thread safety: none. The text outlives the reader and what it gives.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bulkhead::extract {

class XmlPull {
 public:
  enum class Event { Open, Close, Text, End };

  explicit XmlPull(std::string_view text) : rest_(text) {}

  // An element that closes itself gives Open and then Close.
  Event next();
  // Of the last Open or Close.
  std::string_view name() const { return name_; }
  // Of the last Open, "" when it has none of this local name.
  std::string attribute(std::string_view name) const;
  // Of the last Text, entities replaced.
  const std::string& text() const { return text_; }
  std::size_t depth() const { return depth_; }
  bool damaged() const { return damaged_; }

 private:
  Event open_tag();
  Event close_tag();
  Event damage();
  bool skip_past(std::string_view end);

  std::string_view rest_, name_;
  std::vector<std::pair<std::string_view, std::string_view>> attributes_;
  std::string text_;
  std::size_t depth_ = 0;
  bool closes_itself_ = false, damaged_ = false;
};

}  // namespace bulkhead::extract
