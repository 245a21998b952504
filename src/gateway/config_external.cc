#include "gateway/config_external.h"

#include <set>

#include "http/client.h"

namespace bulkhead::gateway {

namespace {

constexpr std::size_t kReplicasMax = 64;

bool stays_here(const http::Url& url) {
  return url.tls || !url.unix_path.empty() || url.host == "127.0.0.1" || url.host == "::1" ||
         url.host == "localhost";
}

}  // namespace

void read_external(ConfigReader& r, const std::filesystem::path& base, ExternalConfig& out) {
  const auto kind = r.choice("kind", {"openai", "vllm", "llama-server", "sglang", "ollama"});
  r.texts("urls", out.urls);
  r.path("api_key_file", out.api_key_file, base);
  r.text("api_key_env", out.api_key_env);
  r.path("ca_file", out.ca_file, base);
  r.number("retries", out.retries, 0, 16);
  r.number("failures_max", out.failures_max, 1, 100);
  r.seconds("open_time", out.open_time, 1, 3'600);
  r.seconds("health_interval", out.health_interval, 1, 3'600);
  r.seconds("connect_time_max", out.connect_time_max, 1, 60);
  r.seconds("stall_time_max", out.stall_time_max, 0, 3'600);
  r.flag("reset_cache", out.reset_cache);
  if (!kind) {
    r.fail(ConfigError::Missing, "kind",
           "is needed: \"openai\", \"vllm\", \"llama-server\", \"sglang\" or \"ollama\"");
  } else {
    out.kind = *engine::parse_external_kind(*kind);
  }
  if (out.urls.empty() || out.urls.size() > kReplicasMax) {
    r.fail(ConfigError::Missing, "urls",
           "is needed: 1 to 64 addresses, like [\"https://engine.example:8000\"]");
  }
  if (std::set<std::string>(out.urls.begin(), out.urls.end()).size() != out.urls.size()) {
    r.fail(ConfigError::BadValue, "urls", "must differ from each other");
  }
  if (!out.api_key_file.empty() && !out.api_key_env.empty()) {
    r.fail(ConfigError::Contradiction, "api_key_file", "and api_key_env exclude each other");
  }
  const engine::Guarantees& given = engine::guarantees_of(out.kind);
  if (out.reset_cache && (!given.cache_reset || out.kind == engine::EngineKind::LlamaServer)) {
    r.fail(ConfigError::Contradiction, "reset_cache",
           "has no effect at kind = \"" + std::string(engine::kind_name(out.kind)) +
               "\"; allowed with vllm, sglang and ollama");
  }
}

void take_short_form(ConfigReader& r, EngineConfig& out) {
  if (!out.chat_url.empty() && out.is_external()) {
    r.fail(ConfigError::Contradiction, "chat_url", "and [engine.external] exclude each other");
  }
  if (!out.chat_api_key_file.empty() && out.chat_url.empty()) {
    r.fail(ConfigError::Contradiction, "chat_api_key_file",
           "belongs to chat_url; in [engine.external] it is api_key_file");
  }
  if (out.chat_url.empty() || out.is_external()) return;
  out.external.urls = {out.chat_url};
  out.external.api_key_file = out.chat_api_key_file;
}

void check_external(ConfigReader& r, const Config& config) {
  if (!config.engine.is_external()) return;
  const ExternalConfig& external = config.engine.external;
  const std::string key = config.engine.chat_url.empty() ? "an external.urls" : "a chat_url";
  for (const std::string& text : external.urls) {
    auto url = http::Url::parse(text);
    if (!url) {
      r.fail(ConfigError::BadValue, "engine", "has " + key + " that can't be used: " + url.error().message());
    } else if (!stays_here(*url) && !config.development) {
      r.fail(
          ConfigError::Contradiction, "engine",
          "may use " + key +
              " with http: for 127.0.0.1, [::1] and localhost only, since prompts would cross the network in "
              "the clear; use https: (mode = \"development\" allows it)");
    }
  }
  auto fits = engine::check_policy(external.kind, config.tenant_defaults.engine);
  if (!fits) {
    r.fail(ConfigError::Contradiction, "tenant_defaults",
           "ask for more than the engine gives. " + fits.error().message() +
               " Here that is a key of [tenant_defaults.engine].");
  }
}

}  // namespace bulkhead::gateway
