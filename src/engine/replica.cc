#include "engine/replica.h"

#include <algorithm>
#include <numeric>

#include "crypto/hash.h"

namespace bulkhead::engine {

using base::Error;
using base::Result;
using base::Task;

namespace {

constexpr std::size_t kControlBytesMax = 4u << 20;
constexpr std::chrono::seconds kControlTimeMax{10};

// Both ways of writing a base address are common: with and without the /v1 that our paths bring. The client
// puts what is left before every path.
http::Url base_of(http::Url url) {
  if (url.path.ends_with("/v1")) url.path.resize(url.path.size() - 3);
  return url;
}

http::ClientOptions control_options(http::ClientOptions options) {
  options.answer_time_max = std::min<std::chrono::milliseconds>(options.answer_time_max, kControlTimeMax);
  options.stall_time_max = kControlTimeMax;
  return options;
}

}  // namespace

Replica::Replica(http::Url url, const ReplicaOptions& options, std::shared_ptr<const base::Secret> api_key,
                 const base::Clock& clock)
    : breaker(options.breaker, clock),
      slots(options.slots, clock),
      places(options.slots, options.waiting_max),
      kind_(options.kind),
      on_socket_(!url.unix_path.empty()),
      api_key_(std::move(api_key)),
      client_(base_of(url), options.client),
      control_(base_of(url), control_options(options.client)) {
  host_ = on_socket_ ? "engine" : url.host + ":" + std::to_string(url.port);
  name_ = on_socket_ ? url.unix_path : host_;
}

Result<http::Request> Replica::make(http::Method method, std::string target, std::string body,
                                    bool with_credential) const {
  http::Request request;
  request.method = method;
  request.path = target.substr(0, target.find('?'));
  if (!route_allowed(kind_, method, request.path)) {
    return Error(EngineError::Failed, "The model engine failed on this request. Try again.",
                 "route not in the dialect");
  }
  request.target = std::move(target);
  request.headers.set("host", host_);
  if (method == http::Method::Post) request.headers.set("content-type", "application/json");
  if (with_credential && !api_key_->empty()) {
    request.headers.set("authorization", "Bearer " + std::string(api_key_->reveal_text()));
  }
  request.body = std::move(body);
  // A generation changes nothing that a second one would find, so a kept-alive connection that the server has
  // just closed costs the client no error.
  request.idempotent = true;
  return request;
}

Task<Result<http::Response>> Replica::call(http::Method method, std::string target, std::string body,
                                           base::CancelToken cancel, bool with_credential) {
  BULKHEAD_CO_TRY(request, make(method, std::move(target), std::move(body), with_credential));
  co_return co_await control_.request(std::move(request), kControlBytesMax, std::move(cancel));
}

Task<Result<std::unique_ptr<http::StreamedResponse>>> Replica::stream(std::string path, std::string body,
                                                                      base::CancelToken cancel) {
  BULKHEAD_CO_TRY(request, make(http::Method::Post, std::move(path), std::move(body), true));
  co_return co_await client_.stream(std::move(request), std::move(cancel));
}

std::vector<std::size_t> replica_order(std::string_view key, const std::vector<std::string>& names) {
  std::vector<crypto::Digest> weights;
  weights.reserve(names.size());
  for (const std::string& name : names) {
    weights.push_back(crypto::sha256_parts({base::as_bytes(key), base::as_bytes(name)}));
  }
  std::vector<std::size_t> order(names.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return weights[a] > weights[b]; });
  return order;
}

}  // namespace bulkhead::engine
