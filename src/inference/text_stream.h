// Turns token pieces into text that may be sent: whole UTF-8 characters only, and never a stop
// string or the beginning of one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::inference {

class TextStream {
 public:
  explicit TextStream(std::vector<std::string> stops) : stops_(std::move(stops)) {}
  // Adds a piece; gives what is safe to send now. `stopped()` turns true at a stop string; what
  // stands from there on is dropped.
  std::string add(std::string_view piece);
  // What is still held back when generation ended by itself.
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace bulkhead::inference
