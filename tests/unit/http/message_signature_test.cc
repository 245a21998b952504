#include "http/message_signature.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "crypto/hash.h"
#include "http/detail/signature_base.h"

namespace bulkhead::http {
namespace {

const std::string kKey = "0123456789abcdef0123456789abcdef";

struct SignatureTest : ::testing::Test {
  base::ManualClock clock;
  MessageSigner signer{base::Secret::copy_of(kKey), "engine-1", clock};
  MessageVerifier verifier{base::Secret::copy_of(kKey), "engine-1", clock, 4};

  Request message() const {
    Request request;
    request.method = Method::Post;
    request.target = "/v1/chat/completions?x=1";
    request.path = "/v1/chat/completions";
    request.headers.add("x-bulkhead-tenant", "acme");
    request.headers.add("x-bulkhead-session", "s1");
    request.headers.add("accept", "*/*");
    request.body = "{\"prompt\":\"hello\"}";
    return request;
  }
  Request signed_message() const {
    Request request = message();
    signer.sign(request);
    return request;
  }
  // The error that `alter` brings about in an otherwise good message.
  std::optional<HttpError> verdict(const std::function<void(Request&)>& alter) {
    Request request = signed_message();
    alter(request);
    const auto result = verifier.verify(request);
    if (result) return std::nullopt;
    return result.error().as<HttpError>();
  }
};

void replace_in(Request& request, std::string_view header, std::string_view from, std::string_view to) {
  std::string value(*request.headers.single(header));
  const std::size_t at = value.find(from);
  ASSERT_NE(at, std::string::npos);
  value.replace(at, from.size(), to);
  request.headers.set(header, value);
}

// RFC 9421 appendix B.2.5.
TEST(SignatureBase, ReproducesTheVectorOfTheRfc) {
  const std::string base = detail::signature_base({{"date", "Tue, 20 Apr 2021 02:07:55 GMT"},
                                                   {"@authority", "example.com"},
                                                   {"content-type", "application/json"}},
                                                  ";created=1618884473;keyid=\"test-shared-secret\"");
  EXPECT_EQ(base,
            "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@authority\": example.com\n"
            "\"content-type\": application/json\n"
            "\"@signature-params\": (\"date\" \"@authority\" \"content-type\")"
            ";created=1618884473;keyid=\"test-shared-secret\"");
  const auto key = base::base64_decode(
      "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==");
  ASSERT_TRUE(key);
  const crypto::Digest mac = crypto::hmac_sha256(*key, base::as_bytes(base));
  EXPECT_EQ(base::base64_encode(mac), "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=");
}

TEST_F(SignatureTest, PassesOnceAndOnlyOnce) {
  const Request request = signed_message();
  EXPECT_TRUE(verifier.verify(request));
  const auto again = verifier.verify(request);
  ASSERT_FALSE(again);
  EXPECT_TRUE(again.error().is(HttpError::SignatureReplayed));
}

TEST_F(SignatureTest, EachSingleAlterationFails) {
  EXPECT_EQ(verdict([](Request&) {}), std::nullopt) << "control: unaltered";
  const std::map<std::string, std::function<void(Request&)>> alterations = {
      {"method", [](Request& r) { r.method = Method::Put; }},
      {"path", [](Request& r) { r.target = "/v1/embeddings?x=1"; }},
      {"query", [](Request& r) { r.target = "/v1/chat/completions?x=2"; }},
      {"tenant", [](Request& r) { r.headers.set("x-bulkhead-tenant", "other"); }},
      {"header removed", [](Request& r) { r.headers.remove("x-bulkhead-session"); }},
      {"header repeated", [](Request& r) { r.headers.add("x-bulkhead-tenant", "acme"); }},
      {"header added", [](Request& r) { r.headers.add("x-bulkhead-role", "admin"); }},
      {"created",
       [](Request& r) { replace_in(r, "signature-input", "created=1800000000", "created=1800000001"); }},
      {"expires",
       [](Request& r) { replace_in(r, "signature-input", "expires=1800000030", "expires=1800000029"); }},
      {"nonce", [](Request& r) { replace_in(r, "signature-input", "nonce=\"", "nonce=\"A"); }},
      {"nonce missing", [](Request& r) { replace_in(r, "signature-input", ";nonce=", ";nonsense="); }},
      {"key id", [](Request& r) { replace_in(r, "signature-input", "engine-1", "engine-2"); }},
      {"algorithm", [](Request& r) { replace_in(r, "signature-input", "hmac-sha256", "none"); }},
      {"component dropped",
       [](Request& r) { replace_in(r, "signature-input", " \"x-bulkhead-session\"", ""); }},
      {"digest not covered", [](Request& r) { replace_in(r, "signature-input", " \"content-digest\"", ""); }},
      {"digest", [](Request& r) { r.headers.set("content-digest", "sha-256=:AAAA:"); }},
      {"label", [](Request& r) { replace_in(r, "signature", "bulkhead", "other"); }},
      {"second member",
       [](Request& r) { replace_in(r, "signature-input", "hmac-sha256\"", "hmac-sha256\", x=()"); }},
      {"no signature", [](Request& r) { r.headers.remove("signature"); }},
      {"no input", [](Request& r) { r.headers.remove("signature-input"); }},
      {"repeated input",
       [](Request& r) {
         r.headers.add("signature-input", std::string(*r.headers.single("signature-input")));
       }},
  };
  for (const auto& [name, alter] : alterations) {
    EXPECT_EQ(verdict(alter), HttpError::SignatureInvalid) << name;
  }
  EXPECT_EQ(verdict([](Request& r) { r.body[3] ^= 1; }), HttpError::DigestMismatch);
  EXPECT_EQ(verdict([](Request& r) { r.headers.set("accept", "text/plain"); }), std::nullopt)
      << "control: a header that is not covered may change on the way";
}

TEST_F(SignatureTest, AnotherKeyFails) {
  MessageVerifier other(base::Secret::copy_of("another key of thirty-two bytes!"), "engine-1", clock);
  EXPECT_TRUE(other.verify(signed_message()).error().is(HttpError::SignatureInvalid));
}

TEST_F(SignatureTest, StaleAndFutureMessagesFail) {
  const Request early = signed_message();
  const Request late = signed_message();
  clock.advance(std::chrono::seconds(35));
  EXPECT_TRUE(verifier.verify(early)) << "control: at the edge of life and skew";
  clock.advance(std::chrono::seconds(1));
  EXPECT_TRUE(verifier.verify(late).error().is(HttpError::SignatureStale));
  base::ManualClock ahead(clock.unix_seconds() + 6);
  MessageSigner early_bird(base::Secret::copy_of(kKey), "engine-1", ahead);
  Request future = message();
  early_bird.sign(future);
  EXPECT_TRUE(verifier.verify(future).error().is(HttpError::SignatureStale));
  clock.advance(std::chrono::seconds(1));
  EXPECT_TRUE(verifier.verify(future)) << "control: within the skew";
}

TEST_F(SignatureTest, AFullMemoryRefusesAndForgetsOnlyWhatExpired) {
  const Request first = signed_message();
  ASSERT_TRUE(verifier.verify(first));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(verifier.verify(signed_message()));
  EXPECT_TRUE(verifier.verify(signed_message()).error().is(HttpError::SignatureReplayed));
  EXPECT_TRUE(verifier.verify(first).error().is(HttpError::SignatureReplayed));
  clock.advance(std::chrono::seconds(41));
  EXPECT_TRUE(verifier.verify(signed_message()));
}

TEST(SignatureInput, IsReadStrictly) {
  const std::string good =
      "bulkhead=(\"@method\" \"@path\");created=1;expires=2;nonce=\"n\";keyid=\"k\";alg=\"a\"";
  ASSERT_TRUE(detail::parse_signature_input(good));
  const std::pair<const char*, const char*> defects[] = {
      {"bulkhead=", "other="},
      {"bulkhead=", " bulkhead="},
      {"(\"", "( \""},
      {"\" \"", "\"  \""},
      {"\"@path\"", "\"@method\""},
      {"\"@path\"", "\"@path\";sf"},
      {"\"@path\"", "@path"},
      {"created=1", "created=01"},
      {"created=1", "created=-1"},
      {"created=1", "created=1.5"},
      {"created=1", "created=\"1\""},
      {"created=1", "created=1;created=1"},
      {";created", "; created"},
      {";expires=2", ""},
      {"nonce=\"n\"", "nonce=\"n\\\"\""},
      {"nonce=\"n\"", "nonce=n"},
      {"alg=\"a\"", "alg=\"a\";tag=\"x\""},
      {"alg=\"a\"", "alg=\"a\" "},
      {"alg=\"a\"", "alg=\"a"},
      {"created=1", "created=1234567890123456"},
  };
  for (const auto& [from, to] : defects) {
    std::string bad = good;
    const std::size_t at = bad.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    bad.replace(at, std::string_view(from).size(), to);
    EXPECT_FALSE(detail::parse_signature_input(bad)) << bad;
  }
}

}  // namespace
}  // namespace bulkhead::http
