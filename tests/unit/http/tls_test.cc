#include "http/tls.h"

#include <openssl/ssl.h>
#include <sys/stat.h>

#include <fstream>

#include "support.h"

namespace bulkhead::http {
namespace {

using namespace testing;

struct TlsTest : ::testing::Test {
  TemporaryFolder folder;
  ReactorPool servers{1};
  ReactorPool clients{1};
  std::unique_ptr<Server> server;

  void SetUp() override {
    ASSERT_TRUE(ensure_development_certificate(folder.path() / "tls"));
    Server::Options options;
    options.handler = echo;
    options.tls = context();
    server = start_server(servers, std::move(options));
    ASSERT_TRUE(server);
  }
  std::filesystem::path file(const char* name) const { return folder.path() / "tls" / name; }
  std::shared_ptr<TlsContext> context() const {
    auto made = TlsContext::server(file("cert.pem"), file("key.pem"));
    EXPECT_TRUE(made) << made.error().describe();
    return *made;
  }
  std::string url(std::string_view host = "localhost") const {
    return "https://" + std::string(host) + ":" + std::to_string(server->port());
  }
  base::Result<Response> ask(const std::string& where, const std::filesystem::path& ca,
                             std::string body = "") {
    ClientOptions options;
    options.tls = *TlsContext::client(ca);
    Client client(*Url::parse(where), options);
    Request request;
    request.method = Method::Post;
    request.target = "/t";
    request.body = std::move(body);
    return run_on(clients.at(0), client.request(std::move(request), 1 << 26, base::CancelToken()));
  }
  // The protocol version that a handshake bounded to `version` ends with; 0 when it fails.
  int handshake(int version, const char* ciphers = nullptr) {
    RawSocket socket(server->port());
    SSL_CTX* made = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(made, 0);
    SSL_CTX_set_min_proto_version(made, version);
    SSL_CTX_set_max_proto_version(made, version);
    if (ciphers) SSL_CTX_set_cipher_list(made, ciphers);
    SSL* ssl = SSL_new(made);
    SSL_set_fd(ssl, socket.fd());
    const int result = SSL_connect(ssl) == 1 ? SSL_version(ssl) : 0;
    SSL_free(ssl);
    SSL_CTX_free(made);
    return result;
  }
};

TEST_F(TlsTest, ServesOverTls) {
  for (const char* host : {"localhost", "127.0.0.1"}) {
    const auto answer = ask(url(host), file("ca.pem"), "hello");
    ASSERT_TRUE(answer) << answer.error().describe();
    EXPECT_EQ(answer->body, "POST /t hello");
  }
  const std::string large(3 << 20, 'z');
  const auto answer = ask(url(), file("ca.pem"), large);
  ASSERT_TRUE(answer) << answer.error().describe();
  EXPECT_EQ(answer->body, "POST /t " + large);
}

TEST_F(TlsTest, RefusesAForeignAuthorityAndAForeignName) {
  ASSERT_TRUE(ensure_development_certificate(folder.path() / "other"));
  const auto foreign = ask(url(), folder.path() / "other" / "ca.pem");
  ASSERT_FALSE(foreign);
  EXPECT_TRUE(foreign.error().is(HttpError::TlsFailed)) << foreign.error().describe();
  const auto misnamed = ask(url("127.0.0.2"), file("ca.pem"));
  ASSERT_FALSE(misnamed);
  EXPECT_TRUE(ask(url(), file("ca.pem"))) << "control";
  ClientOptions bare;
  Request request;
  request.target = "/";
  const auto without_context = request_blocking(*Url::parse(url()), bare, request, 10);
  ASSERT_FALSE(without_context);
  EXPECT_TRUE(without_context.error().is(HttpError::TlsFailed));
}

TEST_F(TlsTest, RefusesOldVersionsAndSuites) {
  EXPECT_EQ(handshake(TLS1_1_VERSION, "ALL:@SECLEVEL=0"), 0);
  EXPECT_EQ(handshake(TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA256"), 0) << "CBC";
  EXPECT_EQ(handshake(TLS1_2_VERSION), TLS1_2_VERSION) << "control";
  EXPECT_EQ(handshake(TLS1_3_VERSION), TLS1_3_VERSION) << "control";
}

TEST_F(TlsTest, PlainTextOnATlsPortIsClosed) {
  RawSocket socket(server->port());
  ASSERT_TRUE(socket.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_EQ(socket.receive_all().find("HTTP/1.1"), std::string::npos);
}

TEST_F(TlsTest, ACutWithoutCloseNotifyIsNoWholeAnswer) {
  // An answer that ends with its connection is whole only after close_notify.
  server.reset();
  Server::Options options;
  options.tls = context();
  options.handler = [](Exchange& exchange) -> base::Task<void> {
    auto sent = co_await exchange.start(200, Headers());
    sent = co_await exchange.write("part");
    exchange.abort();
  };
  server = start_server(servers, std::move(options));
  const auto answer = ask(url(), file("ca.pem"));
  ASSERT_FALSE(answer);
  EXPECT_TRUE(answer.error().is(HttpError::ConnectionClosed)) << answer.error().describe();
}

TEST_F(TlsTest, ReplacesTheCertificateForNewConnections) {
  ASSERT_TRUE(ensure_development_certificate(folder.path() / "other"));
  EXPECT_FALSE(ask(url(), folder.path() / "other" / "ca.pem"));
  server->replace_tls(
      *TlsContext::server(folder.path() / "other" / "cert.pem", folder.path() / "other" / "key.pem"));
  EXPECT_TRUE(ask(url(), folder.path() / "other" / "ca.pem"));
}

TEST_F(TlsTest, DevelopmentCertificateIsKeptWhileGood) {
  struct stat info{};
  ASSERT_EQ(stat(file("key.pem").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  const auto read = [](const std::filesystem::path& path) {
    std::ifstream in(path);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const std::string before = read(file("cert.pem"));
  ASSERT_TRUE(ensure_development_certificate(folder.path() / "tls"));
  EXPECT_EQ(read(file("cert.pem")), before);
  std::ofstream(file("ca.pem")) << "damaged";
  ASSERT_TRUE(ensure_development_certificate(folder.path() / "tls"));
  EXPECT_NE(read(file("cert.pem")), before);
}

TEST_F(TlsTest, RefusesAKeyOthersCanRead) {
  ASSERT_EQ(chmod(file("key.pem").c_str(), 0644), 0);
  EXPECT_FALSE(TlsContext::server(file("cert.pem"), file("key.pem")));
  ASSERT_EQ(chmod(file("key.pem").c_str(), 0600), 0);
  EXPECT_TRUE(TlsContext::server(file("cert.pem"), file("key.pem"))) << "control";
  ASSERT_TRUE(ensure_development_certificate(folder.path() / "other"));
  EXPECT_FALSE(TlsContext::server(file("cert.pem"), folder.path() / "other" / "key.pem"));
  EXPECT_FALSE(TlsContext::client(folder.path() / "missing.pem"));
}

}  // namespace
}  // namespace bulkhead::http
