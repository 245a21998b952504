#include "apps/support.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "engine/engine.h"
#include "gateway/api_error.h"

namespace bulkhead::apps {

using base::Error;
using base::Result;

namespace {
constexpr std::size_t kKeyFileBytesMax = 4096;
constexpr std::size_t kAnswerBytesMax = 64u << 20;
}  // namespace

int fail(const Error& error) {
  std::fprintf(stderr, "bulkhead: %s\n", error.message().c_str());
  if (!error.detail().empty()) std::fprintf(stderr, "  (%s)\n", error.detail().c_str());
  return 1;
}

Result<std::shared_ptr<crypto::PlatformKeys>> load_platform_keys(const gateway::Config& config) {
  auto share = [](std::unique_ptr<crypto::PlatformKeys> keys) {
    return std::shared_ptr<crypto::PlatformKeys>(std::move(keys));
  };
  if (!config.data.platform_key_file.empty()) {
    auto keys = crypto::PlatformKeys::load(config.data.platform_key_file);
    if (!keys && keys.error().is(base::FileError::NotFound)) {
      return Error(crypto::CryptoError::BadKey, "There is no platform key at " +
                                                    config.data.platform_key_file.string() +
                                                    ". Run `bulkhead init` once, or restore the file.");
    }
    if (!keys) return keys.take_error();
    return share(std::move(*keys));
  }
  char* text = std::getenv(config.data.platform_key_env.c_str());
  if (!text) {
    return Error(crypto::CryptoError::BadKey,
                 "The environment variable " + config.data.platform_key_env + " holds no platform key.");
  }
  base::Secret copy = base::Secret::copy_of(std::string_view(text));
  // Not for children, and not for /proc/self/environ any longer.
  base::wipe(text, copy.size());
  ::unsetenv(config.data.platform_key_env.c_str());
  BULKHEAD_TRY(keys, crypto::PlatformKeys::parse(copy));
  return share(std::move(keys));
}

std::filesystem::path run_file(const gateway::Config& config, const std::string& name) {
  return config.data.dir / "run" / (name + ".json");
}

std::filesystem::path command_socket(const gateway::Config& config) {
  return config.data.dir / "run" / "commands.sock";
}

Result<crypto::VerifyKey> read_verify_key(const std::filesystem::path& file) {
  auto text = base::read_file(file, kKeyFileBytesMax);
  if (!text) {
    return Error(crypto::CryptoError::BadKey,
                 "The verify key " + file.string() + " can't be read: " + text.error().message());
  }
  while (!text->empty() && (text->back() == '\n' || text->back() == ' ')) text->pop_back();
  return crypto::VerifyKey::parse(*text);
}

Result<AdminClient> AdminClient::open(const gateway::Config& config, const std::string& key_file) {
  AdminClient client;
  if (!key_file.empty()) {
    BULKHEAD_TRY(key, base::read_secret_file(key_file, kKeyFileBytesMax));
    client.key_ = std::move(key);
  } else if (const char* text = std::getenv("BULKHEAD_API_KEY")) {
    client.key_ = base::Secret::copy_of(std::string_view(text));
  } else {
    return Error(gateway::ApiError::MissingParameter,
                 "Name a key: --key-file FILE (mode 0600), or the environment variable BULKHEAD_API_KEY.");
  }
  client.url_.unix_path = command_socket(config).string();
  std::error_code unreadable;
  if (!std::filesystem::exists(client.url_.unix_path, unreadable)) {
    return Error(engine::EngineError::Unavailable,
                 "The gateway of this configuration is not running: start `bulkhead serve` first.");
  }
  return client;
}

Result<std::string> AdminClient::call(http::Method method, std::string path, std::string body,
                                      std::chrono::seconds answer_time_max) {
  http::Request request;
  request.method = method;
  request.path = request.target = std::move(path);
  request.headers.set("host", "localhost");
  request.headers.set("authorization", "Bearer " + std::string(key_.reveal_text()));
  if (!body.empty()) request.headers.set("content-type", "application/json");
  request.body = std::move(body);
  http::ClientOptions options;
  options.answer_time_max = answer_time_max;
  auto answer = http::request_blocking(url_, std::move(options), std::move(request), kAnswerBytesMax);
  if (!answer) {
    return Error(engine::EngineError::Unavailable,
                 "The gateway of this configuration did not answer at " + url_.unix_path +
                     ". Is `bulkhead serve` running, and as this user?",
                 answer.error().describe());
  }
  if (answer->status / 100 == 2) return std::move(answer->body);
  std::string message = "The gateway answered " + std::to_string(answer->status) + ".";
  if (auto document = base::json::Document::parse(answer->body)) {
    if (auto text = document->root()["error"]["message"].as_string()) message = std::string(*text);
  }
  return Error(gateway::ApiError::BadParameter, std::move(message));
}

Result<base::ApiKeyId> make_operator_key(storage::PlatformDatabase& platform, const std::string& name,
                                         const std::string& file) {
  BULKHEAD_TRY(tag_key, platform.secret("api-key-tag"));
  BULKHEAD_TRY(hash_key, platform.secret("operator-key-hash"));
  auto made = identity::ApiKeyFormat(std::move(tag_key)).make(std::nullopt);
  identity::ApiKeyRecord record{.id = made.id};
  record.name = name;
  record.user = "operator";
  record.roles = {"operator"};
  record.created = base::Clock::system().unix_seconds();
  record.keyed_hash = identity::api_key_hash(hash_key, made.text.reveal_text());
  // First the key to its holder, then to the store: a key that exists is never lost.
  if (!file.empty()) {
    BULKHEAD_CHECK_OK(base::write_file_atomically(file, std::string(made.text.reveal_text()) + "\n"));
  }
  BULKHEAD_CHECK_OK(platform.put_operator_key(record));
  if (file.empty()) {
    std::printf("operator key   %.*s\n               shown this once; keep it safe\n",
                static_cast<int>(made.text.size()), made.text.reveal_text().data());
  } else {
    std::printf("operator key   %s (mode 0600)\n", file.c_str());
  }
  return record.id;
}

}  // namespace bulkhead::apps
