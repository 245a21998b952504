// The configuration file: every mistake names the file and a line in it; an accepted configuration
// keeps the rules that single keys can't see, whatever else it says.
#include "check.h"
#include "gateway/config.h"

namespace {

using namespace bulkhead;
using fuzz::require;

void check(const gateway::Config& config) {
  require(!config.data.dir.empty() && config.data.dir.is_absolute(), "data has a place");
  require(config.data.platform_key_file.empty() != config.data.platform_key_env.empty(),
          "the platform key comes from one place");
  require(!config.engine.chat_model.empty(), "there is a model");
  require(!config.engine.is_external() != config.engine.chat.path.empty(), "there is one engine");
  require(config.server.certificate.empty() == config.server.key.empty(), "certificate and key go together");
  require(config.server.threads >= 1 && config.server.connections_max >= 1, "the server can serve");
  if (!config.development) {
    require(config.burn, "production burns");
    require(!config.server.plain_http, "production speaks TLS");
    require(!config.server.certificate.empty(), "production has a certificate");
    for (const identity::IssuerConfig& issuer : config.issuers) {
      require(!issuer.allow_http, "production fetches keys over TLS");
    }
  }
  if (config.server.plain_http) {
    require(config.server.host == "127.0.0.1" || config.server.host == "::1",
            "plain HTTP stays on the machine");
  }
  for (const identity::IssuerConfig& issuer : config.issuers) {
    require(!issuer.issuer.empty() && !issuer.audiences.empty() && !issuer.algorithms.empty(),
            "an issuer is named, with audiences and algorithms");
  }
  require(config.retrieval.threshold >= 0 && config.retrieval.threshold <= 1, "a threshold is in range");
  require(config.tenant_defaults.relevance_threshold >= 0 && config.tenant_defaults.relevance_threshold <= 1,
          "a tenant's threshold is in range");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = fuzz::text_of(data, size);
  auto config = gateway::parse_config(text, "/etc/bulkhead/bulkhead.toml");
  if (config) {
    check(*config);
    return 0;
  }
  fuzz::require_told(config.error());
  require(config.error().as<gateway::ConfigError>().has_value(),
          "an error is one of the configuration's own");
  const std::string& message = config.error().message();
  constexpr std::string_view kPlace = "/etc/bulkhead/bulkhead.toml:";
  require(message.starts_with(kPlace), "an error names its file");
  std::size_t lines = 2;
  for (char c : text) lines += c == '\n';
  std::size_t line = std::strtoull(message.c_str() + kPlace.size(), nullptr, 10);
  require(line >= 1 && line <= lines, "an error names a line of the file");
  return 0;
}
