// Where a claim stands in a token. Two forms, as the configuration gives them:
//   text   "ext.tenant_id": dots descend into objects; a claim literally named with the dots wins.
//   steps  {"https://acme.example/org", "id"}: exactly these member names, whatever they hold.
// An immutable value; thread safe.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace bulkhead::identity {

class ClaimPath {
 public:
  ClaimPath(std::string text) : name_(std::move(text)) {}
  ClaimPath(const char* text) : name_(text) {}
  // At least one step.
  static ClaimPath of_steps(std::vector<std::string> steps);

  // The claim, or an absent value. Points into the document of `claims`.
  base::json::Value find(const base::json::Value& claims) const;
  // For messages: the text, or the steps with dots between.
  const std::string& name() const { return name_; }
  // The member of the token's claims that the path begins at, for a token without a claim of the whole text.
  std::string top() const;
  // A claims object's members with `value` at this place.
  void write(base::json::Writer& claims, std::string_view value) const;
  bool operator==(const ClaimPath&) const = default;

 private:
  std::string name_;
  std::vector<std::string> steps_;  // empty: the text form
};

}  // namespace bulkhead::identity
