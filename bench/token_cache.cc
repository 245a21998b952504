// What a verified-token cache saves: the cost of a credential that is in it, of one that isn't (parsed,
// signature verified, claims checked, put in), for each algorithm; and how large it gets. Prints JSON.
#include <chrono>
#include <cstdio>

#include "base/json.h"
#include "identity/support.h"

namespace bulkhead::bench {
namespace {

using namespace identity;
using crypto::JwsAlgorithm;

constexpr int kTokens = 400;
constexpr int kHits = 200'000;
constexpr std::size_t kEntriesMax = 1'000;
constexpr int kFlood = 3'000;

struct Rig {
  base::ManualClock clock{kNow};
  http::ReactorPool reactors{1};
  IssuerServer server{reactors};
  base::FairPool pool{{.threads = 1}};
  test::InMemoryKeys keys;
  test::OpenTenants tenants;
  base::Secret tag_key = crypto::random_secret(32);

  std::unique_ptr<Authenticator> authenticator(JwsAlgorithm algorithm, std::size_t entries_max) {
    AuthenticatorOptions options;
    options.cache_entries_max = entries_max;
    IssuerConfig issuer = config_of(server);
    issuer.algorithms = {algorithm};
    options.issuers = {issuer};
    return std::make_unique<Authenticator>(
        std::move(options), ApiKeyFormat(tag_key.clone()), keys, tenants,
        [this](const auto&) -> base::FairPool& { return pool; }, clock);
  }
};

std::vector<std::string> tokens(const Rig& rig, const SigningPair& signer, int count) {
  std::vector<std::string> all;
  for (int i = 0; i < count; ++i) {
    Token token(rig.server.issuer, signer);
    token.claims.set("jti", base::json::quote("t-" + std::to_string(i)));
    all.push_back("Bearer " + token.sign(signer));
  }
  return all;
}

struct Cost {
  double miss_us = 0, hit_us = 0;
  std::size_t entries = 0;
};

base::Task<Cost> measure(Authenticator* authenticator, const std::vector<std::string>* list) {
  Cost cost;
  // The first one fetches the issuer's keys.
  auto first = co_await authenticator->authenticate(list->front());
  if (!first) co_return cost;
  using Micros = std::chrono::duration<double, std::micro>;
  auto began = std::chrono::steady_clock::now();
  for (std::size_t i = 1; i < list->size(); ++i) {
    std::string copy = (*list)[i];
    auto principal = co_await authenticator->authenticate(std::move(copy));
    if (!principal) co_return Cost{};
  }
  auto middle = std::chrono::steady_clock::now();
  cost.miss_us = Micros(middle - began).count() / static_cast<double>(list->size() - 1);
  // The last kTokens are still in it, however small it is.
  std::size_t from = list->size() - std::min<std::size_t>(list->size(), kTokens);
  int found = 0;
  middle = std::chrono::steady_clock::now();
  for (int i = 0; i < kHits; ++i) {
    found +=
        authenticator->cached((*list)[from + static_cast<std::size_t>(i) % (list->size() - from)]) != nullptr;
  }
  cost.hit_us = Micros(std::chrono::steady_clock::now() - middle).count() / kHits;
  if (found != kHits) co_return Cost{};
  cost.entries = authenticator->stats().cache_entries;
  co_return cost;
}

Cost measure_algorithm(Rig& rig, JwsAlgorithm algorithm, int count, std::size_t entries_max) {
  SigningPair signer("key-1", algorithm);
  rig.server.set_jwks(jwks_of({signer.jwk()}));
  auto authenticator = rig.authenticator(algorithm, entries_max);
  std::vector<std::string> list = tokens(rig, signer, count);
  return run_on(rig.reactors.at(0), measure(authenticator.get(), &list));
}

}  // namespace
}  // namespace bulkhead::bench

int main() {
  using namespace bulkhead;
  using namespace bulkhead::bench;
  Rig rig;
  base::json::Writer w;
  w.begin_object();
  for (JwsAlgorithm algorithm : {JwsAlgorithm::Rs256, JwsAlgorithm::Es256, JwsAlgorithm::EdDsa}) {
    Cost cost = measure_algorithm(rig, algorithm, kTokens, 10'000);
    w.key(crypto::jws_algorithm_name(algorithm)).begin_object();
    w.member("miss_us", cost.miss_us).member("hit_us", cost.hit_us).end_object();
  }
  Cost flooded = measure_algorithm(rig, JwsAlgorithm::Rs256, kFlood, kEntriesMax);
  w.member("flood_tokens", kFlood)
      .member("entries_max", static_cast<std::uint64_t>(kEntriesMax))
      .member("entries", static_cast<std::uint64_t>(flooded.entries))
      .end_object();
  std::printf("%s\n", w.take().c_str());
}
