#include "identity/issuer_documents.h"

#include "base/json.h"
#include "http/reactor.h"
#include "identity/jwks.h"

namespace bulkhead::identity {

namespace json = base::json;
using base::Error;
using base::Result;
using base::Task;

namespace {

constexpr std::string_view kDiscoveryPath = "/.well-known/openid-configuration";
constexpr std::size_t kQuotedBytesMax = 200;  // of what an issuer says, in an error
constexpr std::size_t kAddressBytesMax = 2'048;
constexpr std::uint16_t kHttpPort = 80;
constexpr std::uint16_t kHttpsPort = 443;

// Cancels `fetch` after `time_max`, unless `over` is first.
Task<void> end_in_time(http::Reactor& reactor, std::chrono::milliseconds time_max, base::CancelToken fetch,
                       base::CancelToken over) {
  const bool slept = co_await reactor.sleep(time_max, over);
  if (slept) fetch.cancel(base::CancelReason::TimedOut);
}

bool is_loopback(const std::string& host) {
  return host == "127.0.0.1" || host == "::1" || host == "localhost";
}

Error unusable(std::string detail) {
  return Error(IdentityError::IssuerUnavailable, "The identity provider's address can't be used.",
               std::move(detail));
}

}  // namespace

Result<http::Url> usable_address(std::string_view address, bool allow_http) {
  auto url = http::Url::parse(address);
  if (!url || !url->unix_path.empty()) {
    return unusable("is no address that can be fetched (https://host/path): " +
                    json::quote(address.substr(0, kQuotedBytesMax)));
  }
  if (!url->tls && !is_loopback(url->host)) {
    return unusable("is plain http to " + url->host +
                    ": who is on the way could put keys of their own there; use https");
  }
  if (!url->tls && !allow_http) {
    return unusable("is plain http to " + url->host + ", which needs allow_http = true");
  }
  return url;
}

std::string host_header(const http::Url& url) {
  const bool bracketed = url.host.find(':') != std::string::npos;
  std::string host = bracketed ? "[" + url.host + "]" : url.host;
  if (url.port == (url.tls ? kHttpsPort : kHttpPort)) return host;
  return host + ":" + std::to_string(url.port);
}

IssuerDocuments::IssuerDocuments(const IssuerConfig& config, std::shared_ptr<KeyWork> work)
    : config_(config), work_(std::move(work)) {}

Error IssuerDocuments::unavailable(std::string detail) const {
  return Error(IdentityError::IssuerUnavailable,
               "The identity provider's keys can't be had just now. Try again shortly.",
               config_.issuer + ": " + std::move(detail));
}

Task<Result<std::string>> IssuerDocuments::get(std::string address, base::CancelToken cancel) const {
  auto url = usable_address(address, config_.allow_http);
  if (!url) co_return unavailable("the address " + url.error().detail());
  http::ClientOptions options;
  options.answer_time_max = std::chrono::seconds(10);
  options.stall_time_max = std::chrono::seconds(10);
  options.idle_connections_max = 0;
  if (url->tls) {
    // Reads files: the system's roots are hundreds.
    auto tls = co_await work_->pool.run({.party = config_.issuer},
                                        [this] { return http::TlsContext::client(config_.ca_file); });
    if (!tls) co_return unavailable(tls.error().describe());
    options.tls = std::move(*tls);
  }
  http::Request request;
  request.path = request.target = url->path.empty() ? "/" : url->path;
  request.headers.set("host", host_header(*url));
  request.headers.set("accept", "application/json");
  http::Url authority = *url;
  authority.path.clear();
  http::Client client(std::move(authority), std::move(options));
  auto answer = co_await client.request(std::move(request), kJwksBytesMax, std::move(cancel));
  if (!answer) co_return unavailable(address + ": " + answer.error().describe());
  if (answer->status != 200) co_return unavailable(address + " answered " + std::to_string(answer->status));
  co_return std::move(answer->body);
}

Task<Result<std::string>> IssuerDocuments::jwks_address(base::CancelToken cancel) const {
  if (!config_.jwks_uri.empty()) co_return config_.jwks_uri;
  std::string issuer = config_.issuer;
  if (issuer.ends_with('/')) issuer.pop_back();
  auto body = co_await get(issuer + std::string(kDiscoveryPath), std::move(cancel));
  if (!body) co_return body.take_error();
  auto document = json::Document::parse(*body);
  if (!document) co_return unavailable("discovery: " + document.error().describe());
  const auto named = document->root()["issuer"].as_string();
  if (named != config_.issuer) {
    co_return unavailable("discovery names another issuer: " +
                          json::quote(named.value_or("").substr(0, kQuotedBytesMax)));
  }
  const auto address = document->root()["jwks_uri"].as_string().value_or("");
  if (address.size() > kAddressBytesMax) co_return unavailable("discovery: jwks_uri is too long");
  co_return std::string(address);
}

Task<Result<std::string>> IssuerDocuments::key_set() const {
  base::CancelToken cancel, over;
  auto stopping = work_->stopping.on_cancel([cancel] { cancel.cancel(base::CancelReason::Shutdown); });
  http::Reactor& reactor = *http::Reactor::current();
  base::spawn(reactor, end_in_time(reactor, work_->fetch_time_max, cancel, over));
  auto address = co_await jwks_address(cancel);
  auto body = address ? co_await get(std::move(*address), cancel) : Result<std::string>(address.take_error());
  over.cancel(base::CancelReason::Abandoned);
  co_return body;
}

}  // namespace bulkhead::identity
