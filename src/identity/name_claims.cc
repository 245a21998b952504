#include "identity/name_claims.h"

#include <unordered_set>

#include "identity/claim_errors.h"

namespace bulkhead::identity {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

class Collector {
 public:
  explicit Collector(const NameRules& rules) : rules_(rules) {}

  // False: out of bounds.
  bool add(std::string_view name) {
    if (name.size() > kClaimNameBytesMax || has_control(name) || ++seen_ > kClaimNamesMax) return false;
    if (name.empty()) return true;
    std::string own(name);
    if (const auto mapped = rules_.map.find(own); mapped != rules_.map.end()) {
      own = mapped->second;
    } else if (!rules_.prefix.empty()) {
      if (!own.starts_with(rules_.prefix)) return true;
      own.erase(0, rules_.prefix.size());
    }
    if (!own.empty() && known_.insert(own).second) names_.push_back(std::move(own));
    return true;
  }
  bool add_words(std::string_view text) {
    while (!text.empty()) {
      const std::size_t space = text.find(' ');
      if (!add(text.substr(0, space))) return false;
      text = space == std::string_view::npos ? std::string_view() : text.substr(space + 1);
    }
    return true;
  }
  bool add_all(const json::Value& list) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      const auto item = list.at(i).as_string();
      if (!item || !add(*item)) return false;
    }
    return true;
  }
  std::vector<std::string> take() { return std::move(names_); }

 private:
  const NameRules& rules_;
  std::size_t seen_ = 0;
  std::unordered_set<std::string> known_;
  std::vector<std::string> names_;
};

// OpenID Connect Core section 5.6.2; Entra also says `hasgroups` for itself.
bool stands_elsewhere(const json::Value& claims, const ClaimPath& path) {
  const json::Value names = claims["_claim_names"];
  if (names[path.name()].exists() || names[path.top()].exists()) return true;
  return path.name() == "groups" && claims["hasgroups"].as_bool() == true;
}

}  // namespace

Result<std::vector<std::string>> read_names(const json::Value& claims, const std::vector<ClaimPath>& paths,
                                            const NameRules& rules, bool ignore_claims_elsewhere) {
  Collector names(rules);
  for (const ClaimPath& path : paths) {
    const json::Value claim = path.find(claims);
    if ((!claim.exists() || claim.is_null()) && !ignore_claims_elsewhere && stands_elsewhere(claims, path)) {
      return Error(IdentityError::ClaimElsewhere,
                   "The token does not hold " + path.name() +
                       " but says that it is to be asked for elsewhere (_claim_names): there are too many "
                       "for a "
                       "token. Ask your administrator to send fewer, such as those assigned to the "
                       "application.",
                   "a claim within the token, or claims_elsewhere = \"ignore\"")
          .with_parameter(path.name());
    }
    if (!claim.exists() || claim.is_null()) continue;
    const auto words = claim.as_string();
    const bool fits = words ? names.add_words(*words) : claim.is_array() && names.add_all(claim);
    if (!fits) {
      return claim_invalid(path.name(), "at most " + std::to_string(kClaimNamesMax) + " names of at most " +
                                            std::to_string(kClaimNameBytesMax) +
                                            " bytes, in a list or with spaces between");
    }
  }
  return names.take();
}

}  // namespace bulkhead::identity
