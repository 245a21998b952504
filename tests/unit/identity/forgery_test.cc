// 100,000 tokens over all algorithms, each altered, mis-signed, mis-typed, replayed or confused: none is
// accepted. Seeded, so that what is found once is found again.
#include <array>
#include <random>

#include "support.h"

namespace bulkhead::identity {
namespace {

using enum crypto::JwsAlgorithm;

constexpr std::array kAlgorithms = {Rs256, Rs384, Rs512, Ps256, Ps384, Ps512, Es256, Es384, Es512, EdDsa};
constexpr int kForgeries = 100'000;

struct Parts {
  std::string header, claims, signature;
  explicit Parts(const std::string& token)
      : header(token.substr(0, token.find('.'))),
        claims(token.substr(header.size() + 1, token.rfind('.') - header.size() - 1)),
        signature(token.substr(token.rfind('.') + 1)) {}
  std::string text() const { return header + "." + claims + "." + signature; }
};

class ForgeryTest : public IdentityTest {
 protected:
  struct Material {
    SigningPair pair, stranger;      // of the issuer; of nobody, under the same id
    std::string good;                // the control
    std::vector<std::string> wrong;  // whole tokens, rightly or wrongly signed, each with one defect
  };

  ForgeryTest() {
    std::string keys;
    IssuerConfig config = config_of(server);
    config.algorithms.assign(kAlgorithms.begin(), kAlgorithms.end());
    config.tenants = {"acme"};
    for (const auto algorithm : kAlgorithms) {
      const std::string id(crypto::jws_algorithm_name(algorithm));
      Material& m =
          material.emplace_back(Material{SigningPair(id, algorithm), SigningPair(id, algorithm), {}, {}});
      keys += (keys.empty() ? "" : ",") + m.pair.jwk();
      m.good = Token(server.issuer, m.pair).sign(m.pair);
    }
    for (Material& m : material) fill(m);
    server.set_jwks("{\"keys\":[" + keys + "]}");
    start({config}, 64);
  }

  void fill(Material& m) {
    const auto wrong = [&m, this](const std::function<void(Token&)>& spoil) {
      Token t(server.issuer, m.pair);
      spoil(t);
      m.wrong.push_back(t.sign(m.pair));
    };
    const auto claim = [&](const std::string& name, const std::string& raw) {
      wrong([&](Token& t) { t.claims.set(name, raw); });
    };
    const auto header = [&](const std::string& name, const std::string& raw) {
      wrong([&](Token& t) { t.header.set(name, raw); });
    };
    m.wrong.push_back(Token(server.issuer, m.pair).sign(m.stranger));
    for (const auto other : kAlgorithms) {
      if (other == m.pair.key.algorithm()) continue;
      header("alg", base::json::quote(crypto::jws_algorithm_name(other)));
      header("kid", base::json::quote(crypto::jws_algorithm_name(other)));
    }
    for (const char* alg : {"\"none\"", "\"HS256\"", "\"HS512\"", "\"Ed448\"", "\"ES256K\""})
      header("alg", alg);
    for (const char* typ : {"\"JWE\"", "\"logout+jwt\"", "\"dpop+jwt\"", "\"secevent+jwt\"", "\"\""})
      header("typ", typ);
    for (const char* member : {"crit", "jku", "jwk", "x5u", "x5c", "b64", "zip", "enc"}) header(member, "[]");
    for (const char* kind : {"\"ID\"", "\"Refresh\"", "\"Offline\"", "\"Logout\""}) claim("typ", kind);
    for (const char* mark : {"at_hash", "c_hash", "nonce", "cnf", "events"}) claim(mark, "\"x\"");
    claim("token_use", "\"id\"");
    claim("exp", std::to_string(kNow - 31));  // replayed after its time
    claim("nbf", std::to_string(kNow + 31));
    claim("iat", std::to_string(kNow + 31));
    claim("aud", "\"account\"");  // replayed from another service
    claim("iss", "\"https://other.example\"");
    claim("tenant", "\"bolt\"");
    claim("tenant", R"(["acme","bolt"])");
    for (const char* name : {"exp", "aud", "iss", "sub", "tenant"})
      wrong([&](Token& t) { t.claims.remove(name); });
    // The public key as a secret (RFC 8725 section 2.1).
    Token confused(server.issuer, m.pair);
    confused.header.set("alg", "\"HS256\"");
    const std::string input = base::base64url_encode(base::as_bytes(confused.header.text())) + "." +
                              base::base64url_encode(base::as_bytes(confused.claims.text()));
    const auto mac = crypto::hmac_sha256(base::as_bytes(m.pair.jwk()), base::as_bytes(input));
    m.wrong.push_back(input + "." + base::base64url_encode(mac));
  }

  std::size_t pick(std::size_t count) { return random() % count; }

  // A byte of one part, before or after its encoding, or parts of several tokens put together.
  std::string forge() {
    Material& m = material[pick(material.size())];
    if (pick(4) == 0) return m.wrong[pick(m.wrong.size())];
    Parts parts(m.good);
    const Parts other(material[pick(material.size())].good);
    std::string* const all[] = {&parts.header, &parts.claims, &parts.signature};
    std::string& part = *all[pick(3)];
    switch (pick(6)) {
      case 0: {
        base::Bytes bytes = *base::base64url_decode(part);
        bytes[pick(bytes.size())] ^= static_cast<std::uint8_t>(1u << pick(8));
        part = base::base64url_encode(bytes);
        break;
      }
      case 1: part[pick(part.size())] = static_cast<char>(33 + pick(94)); break;
      case 2: part.erase(pick(part.size()), 1 + pick(4)); break;
      case 3: part.insert(pick(part.size()), 1 + pick(4), static_cast<char>(33 + pick(94))); break;
      case 4: parts.signature = other.signature; break;
      default: parts.header = other.header; break;
    }
    return parts.text();
  }

  bool is_good(const std::string& token) const {
    return std::any_of(material.begin(), material.end(), [&](const Material& m) { return m.good == token; });
  }

  struct Tally {
    int tried = 0, accepted = 0, controls_refused = 0;
    std::string example;
  };
  // On the reactor in one go: passing each token between threads would take longer than checking it.
  static base::Task<Tally> present_all(ForgeryTest* self) {
    Tally tally;
    while (tally.tried < kForgeries) {
      const std::string token = self->forge();
      if (self->is_good(token)) continue;
      ++tally.tried;
      if (co_await self->authenticator->authenticate("Bearer " + token)) {
        ++tally.accepted;
        tally.example = token;
      }
      if (tally.tried % 1'000 != 0) continue;
      const std::string& good = self->material[self->pick(kAlgorithms.size())].good;
      if (!co_await self->authenticator->authenticate("Bearer " + good)) ++tally.controls_refused;
    }
    co_return tally;
  }

  std::mt19937 random{20261201};
  std::vector<Material> material;
};

TEST_F(ForgeryTest, NoneOfAHundredThousandForgedTokensIsAccepted) {
  const Tally tally = run_on(reactors.at(0), present_all(this));
  EXPECT_EQ(tally.tried, kForgeries);
  EXPECT_EQ(tally.accepted, 0) << tally.example;
  EXPECT_EQ(tally.controls_refused, 0) << "control: the tokens that they were made of are good";
}

}  // namespace
}  // namespace bulkhead::identity
