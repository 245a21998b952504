#include "gateway/config.h"

#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/file.h"
#include "crypto/signature.h"
#include "engine/model_registry.h"
#include "gateway/config_external.h"
#include "gateway/config_issuer.h"
#include "gateway/config_key_provider.h"
#include "gateway/config_reader.h"
#include "gateway/config_store.h"
#include "identity/user_names.h"

namespace bulkhead::gateway {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kConfigBytesMax = 1u << 20;
constexpr std::int64_t kDay = 86'400;

bool is_loopback(const std::string& host) { return host == "127.0.0.1" || host == "::1"; }

// Uploads fill three quarters of either budget at most (body_budget.h).
void check_body_memory(ConfigReader& r, ServerConfig& out) {
  if (out.body_memory_max == 0) out.body_memory_max = 8 * out.body_bytes_max;
  if (out.tenant_body_memory_max == 0) out.tenant_body_memory_max = 2 * out.body_bytes_max;
  if (out.tenant_body_memory_max - out.tenant_body_memory_max / 4 < out.body_bytes_max) {
    r.fail(ConfigError::Contradiction, "tenant_body_memory_max",
           "must be at least 4/3 of body_bytes_max, or the largest body never has room");
  }
  if (out.body_memory_max < out.tenant_body_memory_max) {
    r.fail(ConfigError::Contradiction, "body_memory_max",
           "must be at least tenant_body_memory_max, which is twice body_bytes_max unless it is given");
  }
}

// Tesseract's names: "eng", "chi_sim".
void read_ocr_languages(ConfigReader& r, std::vector<std::string>& out) {
  std::vector<std::string> named;
  r.texts("ocr_languages", named);
  const auto is_name = [](const std::string& name) {
    return !name.empty() && name.size() <= 32 &&
           std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) || c == '_'; });
  };
  if (named.size() > 8 || !std::all_of(named.begin(), named.end(), is_name)) {
    r.fail(ConfigError::BadValue, "ocr_languages",
           "must be up to 8 names of Tesseract's languages, like \"eng\"");
  } else if (!named.empty()) {
    out = std::move(named);
  }
}

void read_server(ConfigReader& r, const std::filesystem::path& base, ServerConfig& out) {
  std::string listen;
  r.text("listen", listen);
  if (!listen.empty()) {
    std::size_t colon = listen.rfind(':');
    std::string port = colon == std::string::npos ? "" : listen.substr(colon + 1);
    bool digits =
        !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos;
    if (!digits || std::stoul(port) > 65535) {
      r.fail(ConfigError::BadValue, "listen", "must be ADDRESS:PORT, like \"127.0.0.1:8443\"");
    } else {
      out.host = listen.substr(0, colon);
      if (out.host.size() > 2 && out.host.front() == '[') out.host = out.host.substr(1, out.host.size() - 2);
      out.port = static_cast<std::uint16_t>(std::stoul(port));
    }
  }
  r.path("certificate", out.certificate, base);
  r.path("key", out.key, base);
  r.number("threads", out.threads, 0, 256);
  r.number("connections_max", out.connections_max, 1, 1'000'000);
  r.number("connections_per_address_max", out.connections_per_address_max, 1, 1'000'000);
  r.number("failed_authentications_per_minute", out.failed_authentications_per_minute, 0, 10'000'000);
  r.number("refusals_at_once_max", out.refusals_at_once_max, 1, 1'000'000);
  r.number("refusals_per_second", out.refusals_per_second, 0, 1'000'000);
  r.seconds("refusal_wait_max", out.refusal_wait_max, 1, 60);
  r.bytes("body_bytes_max", out.body_bytes_max, 1u << 10, 1u << 30);
  r.bytes("body_memory_max", out.body_memory_max, 0, std::size_t{1} << 40);
  r.bytes("tenant_body_memory_max", out.tenant_body_memory_max, 0, std::size_t{1} << 40);
  r.seconds("body_wait_max", out.body_wait_max, 0, 60);
  r.seconds("stall_time_max", out.stall_time_max, 1, 600);
  r.bytes("transfer_rate_min", out.transfer_rate_min, 0, 1u << 30);
  check_body_memory(r, out);
  r.seconds("drain_time_max", out.drain_time_max, 0, 3'600);
  r.flag("plain_http", out.plain_http);
}

void read_model(ConfigReader& r, const std::filesystem::path& base, LocalModel& out) {
  r.text("id", out.id);
  r.path("path", out.path, base);
  r.text("sha256", out.sha256);
  r.text("origin", out.origin);
  r.text("licence", out.licence);
  if (!out.sha256.empty() && !engine::valid_sha256(out.sha256)) {
    r.fail(ConfigError::BadValue, "sha256", "must be 64 lower-case hex digits");
  }
  if (out.path.empty()) r.fail(ConfigError::Missing, "path", "is needed: a GGUF file");
  if (out.id.empty()) out.id = out.path.stem().string();
  if (!engine::valid_model_id(out.id)) {
    r.fail(ConfigError::BadValue, "id", "must be 1 to 96 letters, digits, '.', '_', '-' and ':'");
  }
}

void read_chat_model(ConfigReader& r, const std::filesystem::path& base, LocalModel& out) {
  read_model(r, base, out);
  r.number("context", out.context, 256, 1 << 20);
  r.number("slots", out.slots, 1, 256);
  r.number("gpu_layers", out.gpu_layers, 0, 1'000);
  r.path("template", out.chat_template, base);
}

// The pool of workers: further models, loading while serving, workers of single tenants.
void read_pool(ConfigReader& r, const std::filesystem::path& base, EngineConfig& out) {
  r.each("models", [&](ConfigReader& m) { read_chat_model(m, base, out.models.emplace_back()); });
  r.path("model_dir", out.model_dir, base);
  r.texts("model_signers", out.model_signers);
  for (const std::string& key : out.model_signers) {
    if (!crypto::VerifyKey::parse(key)) {
      r.fail(ConfigError::BadValue, "model_signers",
             "may hold Ed25519 verify keys of 43 base64url characters");
    }
  }
  r.number("dedicated_max", out.dedicated_max, 0, 1'000);
  r.seconds("dedicated_idle_time", out.dedicated_idle_time, 1, kDay);
  r.seconds("start_time_max", out.start_time_max, 1, 3'600);
  r.seconds("stall_time_max", out.stall_time_max, 2, 3'600);
  r.seconds("hold_off_time", out.hold_off_time, 0, 3'600);
}

// Ids are how requests and the registry name models.
void check_model_ids(ConfigReader& r, const EngineConfig& engine) {
  std::set<std::string> ids;
  auto twice = [&](const LocalModel& model) { return !model.path.empty() && !ids.insert(model.id).second; };
  bool clash = twice(engine.chat) || twice(engine.embedding);
  clash = twice(engine.rerank) || clash;
  for (const LocalModel& model : engine.models) clash = twice(model) || clash;
  if (clash) r.fail(ConfigError::Contradiction, "models", "and the other sections need different ids");
}

void read_engine(ConfigReader& r, const std::filesystem::path& base, EngineConfig& out) {
  r.text("chat_url", out.chat_url);
  r.path("chat_api_key_file", out.chat_api_key_file, base);
  r.text("chat_model", out.chat_model);
  r.number("context", out.chat_context, 256, 1 << 20);
  r.section("external", [&](ConfigReader& e) { read_external(e, base, out.external); });
  r.section("chat", [&](ConfigReader& m) { read_chat_model(m, base, out.chat); });
  r.section("embedding", [&](ConfigReader& m) { read_model(m, base, out.embedding); });
  r.section("rerank", [&](ConfigReader& m) { read_model(m, base, out.rerank); });
  r.number("slots", out.slots, 1, 256);
  r.number("threads", out.threads, 0, 256);
  r.number("batch_threads", out.batch_threads, 0, 256);
  r.number("gpu_layers", out.gpu_layers, 0, 1'000);
  r.number("concurrent", out.concurrent, 0, 100'000);
  r.number("waiting_per_tenant", out.waiting_per_tenant, 1, 100'000);
  r.flag("lookahead", out.lookahead);
  r.number("prefix_partitions", out.prefix_partitions, 0, 100'000);
  r.bytes("prefix_partition_bytes", out.prefix_partition_bytes, 1u << 20, std::size_t{1} << 40);
  r.path("executable", out.executable, base);
  r.seconds("answer_time_max", out.answer_time_max, 1, 3'600);
  read_pool(r, base, out);
  check_model_ids(r, out);
  take_short_form(r, out);
  if (!out.is_external() && out.chat.path.empty()) {
    r.fail(ConfigError::Missing, "chat", "or external is needed: a local model or servers");
  }
  if (out.is_external() && !out.chat.path.empty()) {
    const char* which = out.chat_url.empty() ? "external" : "chat_url";
    r.fail(ConfigError::Contradiction, which, "and [engine.chat] exclude each other");
  }
  if (out.is_external() && out.chat_model.empty()) {
    r.fail(ConfigError::Missing, "chat_model",
           "is needed with [engine.external] or chat_url: the server's model name");
  }
  if (out.chat_model.empty()) out.chat_model = out.chat.id;
}

void read_limits(ConfigReader& r, tenancy::TenantLimits& out) {
  r.number("requests_per_minute", out.requests_per_minute, 1, 10'000'000);
  r.number("tokens_per_minute", out.tokens_per_minute, 1, 2'000'000'000);
  r.number("concurrent_requests", out.concurrent_requests, 1, 100'000);
  r.number("user_requests_per_minute", out.user_requests_per_minute, 1, 10'000'000);
  r.number("user_tokens_per_minute", out.user_tokens_per_minute, 1, 2'000'000'000);
  r.number("user_concurrent_requests", out.user_concurrent_requests, 1, 100'000);
  std::size_t storage = out.storage_bytes_max;
  r.bytes("storage_bytes_max", storage, 1u << 20, SIZE_MAX);
  out.storage_bytes_max = storage;
  r.number("files_max", out.files_max, 1, 1'000'000'000);
  r.number("vector_stores_max", out.vector_stores_max, 1, 1'000'000'000);
  r.number("kept_chats_max", out.kept_chats_max, 1, 1'000'000'000);
  r.number("api_keys_max", out.api_keys_max, 1, 1'000'000'000);
}

void read_engine_policy(ConfigReader& r, tenancy::EnginePolicy& out) {
  if (auto mode = r.choice("prefix_cache", {"off", "session", "tenant"})) {
    out.prefix_cache = *mode == "session"  ? tenancy::PrefixCacheMode::Session
                       : *mode == "tenant" ? tenancy::PrefixCacheMode::Tenant
                                           : tenancy::PrefixCacheMode::Off;
  }
  r.number("prefix_cache_seconds", out.prefix_cache_seconds, 1, tenancy::kPrefixCacheSecondsMax);
  if (auto mode = r.choice("batching", {"shared", "exclusive"})) {
    out.batching = *mode == "exclusive" ? tenancy::BatchingMode::Exclusive : tenancy::BatchingMode::Shared;
  }
  if (auto mode = r.choice("engine", {"shared", "dedicated"})) {
    out.engine = *mode == "dedicated" ? tenancy::EngineMode::Dedicated : tenancy::EngineMode::Shared;
  }
  if (auto mode = r.choice("burn", {"verified", "best_effort"})) {
    out.burn = *mode == "verified" ? tenancy::BurnMode::Verified : tenancy::BurnMode::BestEffort;
  }
  if (auto mode = r.choice("prefix_isolation", {"enforced", "best_effort"})) {
    out.prefix_isolation =
        *mode == "enforced" ? tenancy::PrefixIsolation::Enforced : tenancy::PrefixIsolation::BestEffort;
  }
  r.number("weight", out.weight, 1, tenancy::kWeightMax);
  r.number("stream_padding_bytes", out.stream_padding_bytes, 0, tenancy::kStreamPaddingBytesMax);
  r.number("stream_cadence_ms", out.stream_cadence_ms, 0, tenancy::kStreamCadenceMsMax);
}

void read_tenant_defaults(ConfigReader& r, tenancy::TenantPolicy& out) {
  if (auto mode = r.choice("retrieval", {"off", "when_relevant", "required"})) {
    out.retrieval = *mode == "off"        ? tenancy::RetrievalMode::Off
                    : *mode == "required" ? tenancy::RetrievalMode::Required
                                          : tenancy::RetrievalMode::WhenRelevant;
  }
  r.real("relevance_threshold", out.relevance_threshold, 0, 1);
  r.text("store", out.store);
  r.flag("keep_chats", out.keep_chats);
  r.number("kept_chat_days", out.kept_chat_days, 1, 3'650);
  r.flag("allow_logprobs", out.allow_logprobs);
  r.text("system_prompt", out.system_prompt);
  r.texts("allowed_models", out.allowed_models);
  r.section("engine", [&](ConfigReader& engine) { read_engine_policy(engine, out.engine); });
  r.section("limits", [&](ConfigReader& limits) { read_limits(limits, out.limits); });
}

void read_root(ConfigReader& r, const std::filesystem::path& base, Config& out) {
  if (auto mode = r.choice("mode", {"production", "development"})) {
    out.development = *mode == "development";
  }
  r.flag("burn", out.burn);
  r.flag("metrics_public", out.metrics_public);
  r.flag("show_foreign_output", out.show_foreign_output);
  r.section("server", [&](ConfigReader& s) { read_server(s, base, out.server); });
  r.section("data", [&](ConfigReader& s) {
    s.path("dir", out.data.dir, base);
    s.path("platform_key_file", out.data.platform_key_file, base);
    s.text("platform_key_env", out.data.platform_key_env);
    s.number("open_stores_max", out.data.open_stores_max, 1, 100'000);
    s.seconds("key_lifetime", out.data.key_lifetime, 2, 3'600);
    if (out.data.dir.empty()) s.fail(ConfigError::Missing, "dir", "is needed: where tenants' stores live");
  });
  r.section("audit", [&](ConfigReader& s) {
    s.path("dir", out.audit.dir, base);
    s.path("witness_dir", out.audit.witness_dir, base);
    s.flag("client_address", out.audit.client_address);
    s.seconds("checkpoint_interval", out.audit.checkpoint_interval, 1, 3'600);
    s.bytes("reserve_bytes", out.audit.reserve_bytes, 1u << 16, std::size_t{1} << 40);
    s.bytes("tenant_bytes_per_hour", out.audit.tenant_bytes_per_hour, 1u << 16, std::size_t{1} << 40);
    s.seconds("refusal_window", out.audit.refusal_window, 0, 3'600);
    s.flag("announce_changes", out.audit.announce_changes);
  });
  r.section("backup", [&](ConfigReader& s) {
    s.path("dir", out.backup.dir, base);
    s.path("key_file", out.backup.key_file, base);
    if (out.backup.dir.empty()) s.fail(ConfigError::Missing, "dir", "is needed: the folder for backups");
    if (out.backup.key_file.empty()) {
      s.fail(ConfigError::Missing, "key_file",
             "is needed: the backup key (make one with `bulkhead backup key FILE`)");
    }
  });
  r.each("issuer", [&](ConfigReader& s) { read_issuer(s, base, out.issuers.emplace_back()); });
  r.each("role", [&](ConfigReader& s) {
    auto& role = out.roles.emplace_back();
    s.text("name", role.name);
    s.texts("permissions", role.permissions);
    if (role.name.empty()) s.fail(ConfigError::Missing, "name", "is needed");
  });
  r.section("engine", [&](ConfigReader& s) { read_engine(s, base, out.engine); });
  r.section("retrieval", [&](ConfigReader& s) {
    s.real("threshold", out.retrieval.threshold, 0, 1);
    s.number("results_max", out.retrieval.results_max, 1, 50);
    s.flag("rerank", out.retrieval.rerank);
    s.number("answer_tokens", out.retrieval.answer_tokens, 16, 100'000);
  });
  r.section("extract", [&](ConfigReader& s) {
    s.path("executable", out.extract.executable, base);
    s.number("concurrent", out.extract.concurrent, 1, 64);
    s.seconds("time_max", out.extract.time_max, 1, 600);
    s.bytes("memory_bytes_max", out.extract.memory_bytes_max, 128u << 20, 64ull << 30);
    s.bytes("file_bytes_max", out.extract.file_bytes_max, 1u << 10, 1u << 30);
    s.flag("ocr", out.extract.ocr);
    read_ocr_languages(s, out.extract.ocr_languages);
    s.seconds("ocr_time_max", out.extract.ocr_time_max, 1, 3'600);
  });
  r.each("store", [&](ConfigReader& s) { read_store(s, base, out.stores.emplace_back()); });
  r.each("key_provider", [&](ConfigReader& s) {
    auto& provider = out.key_providers.emplace_back();
    read_key_provider(s, base, provider);
  });
  r.section("tenant_defaults", [&](ConfigReader& s) { read_tenant_defaults(s, out.tenant_defaults); });
  r.section("dev_idp", [&](ConfigReader& s) {
    s.number("port", out.dev_idp.port, 0, 65535);
    s.text("algorithm", out.dev_idp.algorithm);
    s.seconds("token_lifetime", out.dev_idp.token_lifetime, 10, kDay);
    s.path("clients_file", out.dev_idp.clients_file, base);
  });
}

// What single keys can't see.
void check_whole(ConfigReader& r, const Config& config) {
  if (config.data.dir.empty()) r.fail(ConfigError::Missing, "data", "section with `dir` is needed");
  if (config.data.platform_key_file.empty() == config.data.platform_key_env.empty()) {
    r.fail(ConfigError::Contradiction, "data", "needs exactly one of platform_key_file and platform_key_env");
  }
  if (config.engine.chat_model.empty()) r.fail(ConfigError::Missing, "engine", "section is needed");
  if (!config.burn && !config.development) {
    r.fail(ConfigError::Contradiction, "burn",
           "can be switched off in mode = \"development\" only (it is a control experiment)");
  }
  if (config.audit.refusal_window.count() == 0 && !config.development) {
    r.fail(
        ConfigError::Contradiction, "audit",
        "may have refusal_window = 0 in mode = \"development\" only: whoever is refused could fill the log");
  }
  if (config.show_foreign_output && !config.development) {
    r.fail(ConfigError::Contradiction, "show_foreign_output",
           "can be switched on in mode = \"development\" only: what libraries print may be users' text");
  }
  if (!config.audit.announce_changes && !config.development) {
    r.fail(ConfigError::Contradiction, "audit",
           "may have announce_changes = false in mode = \"development\" only (it is a control experiment)");
  }
  if (config.server.certificate.empty() != config.server.key.empty()) {
    r.fail(ConfigError::Contradiction, "server", "needs certificate and key together");
  }
  if (!config.development && config.server.certificate.empty()) {
    r.fail(ConfigError::Missing, "server",
           "needs certificate and key (mode = \"development\" makes its own)");
  }
  if (config.metrics_public && !is_loopback(config.server.host)) {
    r.fail(ConfigError::Contradiction, "metrics_public",
           "opens /metrics to everybody who reaches the gateway, so it needs server.listen on 127.0.0.1 or "
           "[::1]; "
           "elsewhere let the scraper send an operator's key");
  }
  if (config.server.plain_http && !(config.development && is_loopback(config.server.host))) {
    r.fail(ConfigError::Contradiction, "server",
           "may use plain_http in mode = \"development\" on a loopback address only");
  }
  check_stores(r, config);
  check_key_providers(r, config);
  check_external(r, config);
  if (config.tenant_defaults.retrieval == tenancy::RetrievalMode::Required &&
      config.engine.embedding.path.empty()) {
    r.fail(ConfigError::Contradiction, "tenant_defaults",
           "with retrieval = \"required\" need [engine.embedding]: nothing could search the documents");
  }
  check_issuers(r, config);
}

void fill_defaults(Config& config) {
  std::error_code failed;
  std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", failed);
  std::filesystem::path folder = failed ? std::filesystem::path(".") : self.parent_path();
  if (config.engine.executable.empty()) config.engine.executable = folder / "bulkhead-engine";
  if (config.extract.executable.empty()) config.extract.executable = folder / "bulkhead-extract";
  if (config.audit.dir.empty()) config.audit.dir = config.data.dir / "audit";
  if (config.engine.concurrent == 0) {
    // Our own workers order what is inside by service given and set aside what must wait; an external
    // server takes what comes, so little more than it can decode at once may be inside.
    const std::size_t replicas = config.engine.external.urls.size();
    std::size_t slots = config.engine.slots * (1 + config.engine.models.size());
    config.engine.concurrent =
        replicas == 0 ? std::max<std::size_t>(256, slots * 64) : config.engine.slots * replicas * 2;
  }
  if (config.server.threads == 0) {
    long cores = ::sysconf(_SC_NPROCESSORS_ONLN);
    config.server.threads = cores > 0 ? static_cast<std::size_t>(cores) : 1;
  }
}

// The first section header that does not begin with a name.
std::size_t line_of_bad_header(std::string_view text) {
  for (std::size_t line = 1; !text.empty(); ++line) {
    std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view header = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    std::size_t name = header.find_first_not_of(" \t[");
    bool is_header = header.substr(0, name).find('[') != std::string_view::npos;
    if (!is_header || name == std::string_view::npos) continue;
    char first = header[name];
    bool good = (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z') ||
                (first >= '0' && first <= '9') ||
                std::string_view("-_\"'").find(first) != std::string_view::npos;
    if (!good) return line;
  }
  return 1;
}

}  // namespace

base::ErrorName error_name(ConfigError code) {
  switch (code) {
    case ConfigError::Unreadable: return {"config", "unreadable"};
    case ConfigError::Syntax: return {"config", "syntax"};
    case ConfigError::UnknownKey: return {"config", "unknown_key"};
    case ConfigError::BadValue: return {"config", "bad_value"};
    case ConfigError::Missing: return {"config", "missing"};
    case ConfigError::Contradiction: return {"config", "contradiction"};
  }
  return {"config", "unknown"};
}

Result<Config> parse_config(std::string_view text, const std::filesystem::path& file) {
  toml::table table;
  try {
    table = toml::parse(text, file.string());
  } catch (const toml::parse_error& error) {
    return Error(ConfigError::Syntax, file.string() + ":" + std::to_string(error.source().begin.line) +
                                          ": not valid TOML: " + std::string(error.description()));
  } catch (const TomlAssertionBroken&) {
    return Error(ConfigError::Syntax, file.string() + ":" + std::to_string(line_of_bad_header(text)) +
                                          ": not valid TOML: a section's name is made of letters, digits, "
                                          "- and _, or stands in quotes");
  }
  Config config;
  std::optional<Error> failure;
  std::filesystem::path base = std::filesystem::absolute(file).parent_path();
  ConfigReader reader(table, file.string(), "", failure);
  read_root(reader, base, config);
  reader.finish();
  check_whole(reader, config);
  if (failure) return std::move(*failure);
  fill_defaults(config);
  return config;
}

Result<Config> load_config(const std::filesystem::path& file) {
  auto text = base::read_file(file, kConfigBytesMax);
  if (!text) {
    return Error(ConfigError::Unreadable,
                 "The configuration file " + file.string() + " can't be read: " + text.error().message());
  }
  BULKHEAD_TRY(config, parse_config(*text, file));
  for (const identity::IssuerConfig& issuer : config.issuers) {
    if (const auto problem = identity::file_problem_of(issuer)) {
      return Error(ConfigError::BadValue, file.string() + ": [[issuer]] " + issuer.issuer + ": " +
                                              problem->key + " " + problem->what);
    }
  }
  return config;
}

}  // namespace bulkhead::gateway
