#include "identity/claim_path.h"

namespace bulkhead::identity {

namespace json = base::json;

ClaimPath ClaimPath::of_steps(std::vector<std::string> steps) {
  std::string name;
  for (const std::string& step : steps) name += (name.empty() ? "" : ".") + step;
  ClaimPath path(std::move(name));
  path.steps_ = std::move(steps);
  return path;
}

json::Value ClaimPath::find(const json::Value& claims) const {
  json::Value at = claims;
  if (!steps_.empty()) {
    for (const std::string& step : steps_) at = at[step];
    return at;
  }
  if (json::Value whole = at[name_]; whole.exists()) return whole;
  std::string_view rest = name_;
  while (true) {
    const std::size_t dot = rest.find('.');
    at = at[rest.substr(0, dot)];
    if (dot == std::string_view::npos || !at.exists()) return at;
    rest.remove_prefix(dot + 1);
  }
}

std::string ClaimPath::top() const {
  return steps_.empty() ? name_.substr(0, name_.find('.')) : steps_.front();
}

void ClaimPath::write(json::Writer& claims, std::string_view value) const {
  if (steps_.empty()) {
    claims.member(name_, value);
    return;
  }
  for (std::size_t i = 0; i + 1 < steps_.size(); ++i) claims.key(steps_[i]).begin_object();
  claims.member(steps_.back(), value);
  for (std::size_t i = 0; i + 1 < steps_.size(); ++i) claims.end_object();
}

}  // namespace bulkhead::identity
