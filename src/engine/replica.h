// Replica: one server of an external engine: its address, its credential, its breaker and, for llama.cpp, its
// slots. Refuses routes that its dialect does not have.
// Thread safety: all members from every thread; calls are awaited on a reactor.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/secret.h"
#include "engine/circuit_breaker.h"
#include "engine/dialect.h"
#include "engine/fair_queue.h"
#include "engine/slot_table.h"
#include "http/client.h"

namespace bulkhead::engine {

struct ReplicaOptions {
  EngineKind kind = EngineKind::OpenAi;
  http::ClientOptions client;
  CircuitBreaker::Options breaker;
  std::size_t slots = 4;  // of a dialect with slots
  std::size_t waiting_max = 4096;
};

class Replica {
 public:
  Replica(http::Url url, const ReplicaOptions& options, std::shared_ptr<const base::Secret> api_key,
          const base::Clock& clock);

  // "10.0.0.7:8000", or the socket's path.
  const std::string& name() const { return name_; }
  bool on_socket() const { return on_socket_; }

  base::Task<base::Result<http::Response>> call(http::Method method, std::string target, std::string body,
                                                base::CancelToken cancel, bool with_credential = true);
  base::Task<base::Result<std::unique_ptr<http::StreamedResponse>>> stream(std::string path, std::string body,
                                                                           base::CancelToken cancel);

  CircuitBreaker breaker;
  SlotTable slots;
  FairQueue places;  // as many as slots, so that whoever is inside finds one
  // A dialect with slots serves only while its server is known to be safe.
  std::atomic<bool> inspected{false};
  std::atomic<std::uint64_t> failures{0};

 private:
  base::Result<http::Request> make(http::Method method, std::string target, std::string body,
                                   bool with_credential) const;

  const EngineKind kind_;
  std::string host_, name_;
  bool on_socket_ = false;
  std::shared_ptr<const base::Secret> api_key_;
  http::Client client_;
  http::Client control_;  // short times: health, slots, resets
};

// Indices of `names` in the order in which `key` prefers them (rendezvous hashing: a name that comes or goes
// moves only the keys that were or will be its own).
std::vector<std::size_t> replica_order(std::string_view key, const std::vector<std::string>& names);

}  // namespace bulkhead::engine
