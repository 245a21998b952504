#include "base/error.h"

namespace bulkhead::base {

std::string Error::describe() const {
  std::string text(name_.module);
  text += '.';
  text += name_.code;
  if (!message_.empty()) text += ": " + message_;
  if (!detail_.empty()) text += " (" + detail_ + ")";
  return text;
}

}  // namespace bulkhead::base
