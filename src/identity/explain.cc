#include "identity/explain.h"

#include <algorithm>

#include "identity/authenticator.h"
#include "identity/claim_errors.h"
#include "identity/issuer_documents.h"
#include "identity/jwks.h"
#include "identity/key_set.h"
#include "identity/refusal_log.h"
#include "identity/token.h"
#include "identity/token_verifier.h"
#include "identity/user_id.h"

namespace bulkhead::identity {

namespace json = base::json;
using base::Result;
using base::Task;
using Outcome = Finding::Outcome;

namespace {

constexpr std::size_t kShownBytesMax = 300;

// What is shown comes from outside: one line of printable text, cut when it is long.
std::string shown(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  if (text.size() > kShownBytesMax) text = text.substr(0, kShownBytesMax) + "…";
  return text;
}

std::string shown(const json::Value& value) {
  if (!value.exists()) return "absent";
  json::Writer w;
  w.copy(value);
  return shown(w.take());
}

class Report {
 public:
  void fine(std::string subject, std::string text) {
    add(Outcome::Fine, std::move(subject), std::move(text));
  }
  void wrong(std::string subject, std::string text) {
    add(Outcome::Wrong, std::move(subject), std::move(text));
  }
  void note(std::string subject, std::string text) {
    add(Outcome::Note, std::move(subject), std::move(text));
  }
  void wrong(std::string subject, const base::Error& error) {
    std::string text = std::string(error.name().code) + ": " + error.message();
    if (!error.detail().empty()) text += " Expected or found: " + error.detail();
    wrong(std::move(subject), std::move(text));
  }
  Findings take() { return std::move(findings_); }

 private:
  void add(Outcome outcome, std::string subject, std::string text) {
    findings_.push_back({outcome, std::move(subject), shown(std::move(text))});
  }
  Findings findings_;
};

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "none" : text;
}

bool signs_with(const Jwk& jwk, crypto::JwsAlgorithm algorithm) {
  return jwk.key.fits(algorithm) && (!jwk.algorithm || *jwk.algorithm == algorithm);
}

// Whether tokens by this key can be taken.
bool describe_key(Report& report, std::size_t index, const Jwk& jwk, const IssuerConfig& issuer) {
  std::vector<std::string> usable, refused;
  for (const auto algorithm : crypto::kJwsAlgorithms) {
    if (!signs_with(jwk, algorithm)) continue;
    const auto& accepted = issuer.algorithms;
    const bool listed = std::find(accepted.begin(), accepted.end(), algorithm) != accepted.end();
    (listed ? usable : refused).emplace_back(crypto::jws_algorithm_name(algorithm));
  }
  const std::string subject = "key " + std::to_string(index + 1);
  const std::string id = jwk.id.empty() ? "without kid" : "kid " + jwk.id;
  if (usable.empty()) {
    report.note(subject, id + ": signs with " + joined(refused) + ", which `algorithms` does not list");
    return false;
  }
  report.fine(subject, id + ": tokens signed with " + joined(usable));
  return true;
}

void describe_keys(Report& report, const JwksDocument& set, const IssuerConfig& issuer) {
  std::size_t usable = 0;
  for (std::size_t i = 0; i < set.size(); ++i) {
    auto key = set.key(i);
    if (!key) {
      report.note("key " + std::to_string(i + 1), "can't be used: " + key.error().detail());
    } else if (!*key) {
      report.note("key " + std::to_string(i + 1), "not for signatures with an algorithm that is known here");
    } else if (describe_key(report, i, **key, issuer)) {
      ++usable;
    }
  }
  const std::string text = std::to_string(usable) + " of " + std::to_string(set.size()) +
                           " keys can sign tokens that are taken here";
  if (usable == 0) return report.wrong("keys", text + ": every token will be refused");
  report.fine("keys", text);
}

// The claims that decide, as the token has them: proven or not.
void describe_token(Report& report, const UnverifiedToken& token, const IssuerConfig* issuer) {
  const json::Value claims = token.unverified_claims();
  report.note("header", "alg " + std::string(crypto::jws_algorithm_name(token.algorithm())) + ", typ " +
                            (token.type().empty() ? "absent" : token.type()) + ", kid " +
                            (token.key_id().empty() ? "absent" : token.key_id()));
  for (std::string_view claim : {"iss", "aud", "iat", "exp"}) {
    report.note("claim " + std::string(claim), shown(claims[claim]));
  }
  if (!issuer) return;
  std::vector<ClaimPath> paths = {issuer->tenant_claim, issuer->user_claim};
  paths.insert(paths.end(), issuer->roles_claims.begin(), issuer->roles_claims.end());
  paths.insert(paths.end(), issuer->groups_claims.begin(), issuer->groups_claims.end());
  for (const ClaimPath& path : paths) report.note("claim " + path.name(), shown(path.find(claims)));
}

void describe_principal(Report& report, const Principal& who) {
  if (who.is_operator()) {
    report.fine("accepted", "as the platform's operator");
    return;
  }
  report.fine("accepted", "tenant " + who.tenant()->str() + ", user " + whole_user_name(who.user()));
  report.note("roles", joined(who.roles()) + (who.roles().empty() ? ": nothing is allowed without one" : ""));
  report.note("groups", joined(who.groups()));
}

const IssuerConfig* issuer_named(const std::vector<IssuerConfig>& issuers, std::string_view name) {
  for (const IssuerConfig& issuer : issuers) {
    if (issuer.issuer == name) return &issuer;
  }
  return nullptr;
}

// Up to the claims; true when the signature is the issuer's.
Task<bool> prove(Report& report, const UnverifiedToken& token, KeySet& keys) {
  if (auto header = check_header(token, keys.config()); !header) {
    report.wrong("header", header.error());
    co_return false;
  }
  auto key = co_await keys.key(token.key_id(), token.algorithm());
  if (!key) {
    report.wrong("key", key.error());
    co_return false;
  }
  auto genuine = co_await keys.verify(std::move(key->key), token.algorithm(),
                                      base::as_bytes(token.signing_input()), token.signature());
  if (!genuine || !*genuine) {
    report.wrong("signature",
                 "not by the key that the issuer lists: the token was altered or made by another");
    co_return false;
  }
  report.fine("signature", "by a key of the issuer");
  co_return true;
}

}  // namespace

bool all_fine(const Findings& findings) {
  return std::none_of(findings.begin(), findings.end(),
                      [](const Finding& each) { return each.outcome == Outcome::Wrong; });
}

Task<Findings> explain_issuer(IssuerConfig issuer, std::shared_ptr<KeyWork> work) {
  Report report;
  report.note("issuer", issuer.issuer);
  for (const auto& problem : {problem_of(issuer), file_problem_of(issuer)}) {
    if (problem) report.wrong("configuration", problem->key + " " + problem->what);
  }
  const IssuerDocuments documents(issuer, work);
  auto address = co_await documents.jwks_address({});
  if (!address) {
    report.wrong("discovery", address.error());
    co_return report.take();
  }
  report.fine(issuer.jwks_uri.empty() ? "discovery" : "jwks_uri", "the keys are at " + *address);
  auto body = co_await documents.key_set();
  if (!body) {
    report.wrong("keys", body.error());
    co_return report.take();
  }
  auto set = JwksDocument::parse(*body);
  if (!set) {
    report.wrong("keys", set.error());
    co_return report.take();
  }
  describe_keys(report, *set, issuer);
  co_return report.take();
}

Task<Findings> explain_token(std::string text, std::vector<IssuerConfig> issuers, const base::Clock& clock,
                             std::shared_ptr<KeyWork> work) {
  Report report;
  auto token = UnverifiedToken::parse(text, AuthenticatorOptions{}.token_bytes_max);
  base::wipe(text);
  if (!token) {
    report.wrong("form", token.error());
    co_return report.take();
  }
  const std::string name(token->unverified_claims()["iss"].as_string().value_or(""));
  const IssuerConfig* issuer = issuer_named(issuers, name);
  describe_token(report, *token, issuer);
  if (!issuer) {
    std::vector<std::string> configured;
    for (const IssuerConfig& each : issuers) configured.push_back(each.issuer);
    const std::string near = near_miss(name, configured);
    report.wrong("issuer", "issuer_unknown: no [[issuer]] has this `iss`. " +
                               (near.empty() ? "Configured: " + joined(configured) : "There is " + near));
    co_return report.take();
  }
  KeySet keys(*issuer, clock, work);
  const bool proven = co_await prove(report, *token, keys);
  if (!proven) co_return report.take();
  const UserNames names(issuers);
  auto principal = principal_from_verified(*token, *issuer, names, clock);
  if (principal) {
    describe_principal(report, **principal);
  } else {
    report.wrong(principal.error().parameter().empty() ? "claims" : "claim " + principal.error().parameter(),
                 principal.error());
  }
  co_return report.take();
}

}  // namespace bulkhead::identity
