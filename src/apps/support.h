// What several commands need: printing errors, loading the configuration, talking to the running
// gateway's admin API.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "crypto/envelope.h"
#include "crypto/signature.h"
#include "gateway/config.h"
#include "http/client.h"
#include "storage/store_manager.h"

namespace bulkhead::apps {

// Prints "bulkhead: message" to standard error; 1.
int fail(const base::Error& error);

base::Result<std::shared_ptr<crypto::PlatformKeys>> load_platform_keys(const gateway::Config& config);

// Where `serve` and `dev-idp` say that they are up: <data.dir>/run/<name>.json.
std::filesystem::path run_file(const gateway::Config& config, const std::string& name);

// Where `serve` answers the commands of this machine: a Unix socket of mode 0600 with the routes of its
// network address, so that a command needs no certificate and no address.
std::filesystem::path command_socket(const gateway::Config& config);

// An audit verify key from a file of one base64url line.
base::Result<crypto::VerifyKey> read_verify_key(const std::filesystem::path& file);

// Makes an operator's API key: its text goes to `file` (mode 0600) or, when that is empty, to standard
// output, once; its keyed hash to the database. Returns its id.
base::Result<base::ApiKeyId> make_operator_key(storage::PlatformDatabase& platform, const std::string& name,
                                               const std::string& file);

// The running gateway's API over its command socket, with a key from a 0600 file or BULKHEAD_API_KEY.
class AdminClient {
 public:
  static base::Result<AdminClient> open(const gateway::Config& config, const std::string& key_file);
  // The answer's body when the status is 2xx; otherwise the gateway's own error message.
  base::Result<std::string> call(http::Method method, std::string path, std::string body,
                                 std::chrono::seconds answer_time_max = std::chrono::seconds(300));

 private:
  http::Url url_;
  base::Secret key_;
};

}  // namespace bulkhead::apps
