#include "identity/refusal_log.h"

#include <chrono>

#include "base/log.h"

namespace bulkhead::identity {

namespace {

constexpr std::chrono::seconds kWindow{60};
// Issuers and claims come from the configuration and reasons are few, so this is a bound that nobody meets.
constexpr std::size_t kKindsMax = 1'024;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

std::string_view without_slash(std::string_view text) {
  while (text.ends_with('/')) text.remove_suffix(1);
  return text;
}

std::string_view without_scheme(std::string_view text) {
  const std::size_t at = text.find("://");
  return at == std::string_view::npos ? text : text.substr(at + 3);
}

}  // namespace

void RefusalLog::add(std::string_view issuer, const base::Error& error) {
  std::int64_t unsaid = 0;
  {
    std::lock_guard lock(mutex_);
    const auto now = clock_.monotonic();
    const Key key{issuer, error.name().code, error.parameter()};
    auto found = kinds_.find(key);
    if (found == kinds_.end()) {
      if (kinds_.size() >= kKindsMax) return;
      kinds_.emplace(key, Kind{now, 0});
    } else if (now - found->second.said < kWindow) {
      ++found->second.unsaid;
      return;
    } else {
      unsaid = found->second.unsaid;
      found->second = {now, 0};
    }
  }
  base::log::warning("token_refused", {{"issuer", issuer},
                                       {"reason", error.name().code},
                                       {"claim", std::string_view(error.parameter())},
                                       {"expected", std::string_view(error.detail())},
                                       {"repeated", unsaid}});
}

std::string near_miss(std::string_view named, const std::vector<std::string>& configured) {
  for (const std::string& issuer : configured) {
    if (without_slash(named) == without_slash(issuer)) {
      return issuer + ", which differs in slashes at the end: write the token's `iss` exactly";
    }
  }
  for (const std::string& issuer : configured) {
    if (without_scheme(named) == without_scheme(issuer)) {
      return issuer + ", which differs in http and https: write the token's `iss` exactly";
    }
    if (lower(without_slash(named)) == lower(without_slash(issuer))) {
      return issuer + ", which differs in capital letters: write the token's `iss` exactly";
    }
  }
  return "";
}

}  // namespace bulkhead::identity
