// Deployment: every part of a running gateway, made in order, taken apart in reverse. Wiring only.
#pragma once

#include <filesystem>
#include <memory>

#include "base/result.h"
#include "gateway/config.h"

namespace bulkhead::apps {

class Deployment {
 public:
  static base::Result<std::unique_ptr<Deployment>> start(gateway::Config config, std::filesystem::path file);
  ~Deployment();

  // SIGHUP: certificate, issuers. What can't change while running is said in the log.
  void reload();
  // SIGTERM: no new requests, running ones finish within server.drain_time_max.
  void drain();

 private:
  struct Parts;
  explicit Deployment(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace bulkhead::apps
