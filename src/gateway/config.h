// The configuration file (TOML). Strict: an unknown key, a wrong type or a value out of range is an
// error that names file, line, key and what is allowed. docs/operator-guide.md lists every key.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "access/permission.h"
#include "base/result.h"
#include "crypto/pkcs11_provider.h"
#include "engine/guarantees.h"
#include "identity/issuer_config.h"
#include "storage/postgres_options.h"
#include "tenancy/tenant.h"

namespace bulkhead::gateway {

enum class ConfigError { Unreadable, Syntax, UnknownKey, BadValue, Missing, Contradiction };
base::ErrorName error_name(ConfigError code);

struct ServerConfig {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8443;
  std::filesystem::path certificate, key;               // empty: a development certificate in data.dir/tls
  std::size_t threads = 0;                              // 0: one a core
  std::size_t connections_max = 4096;                   // of the whole gateway
  std::size_t connections_per_address_max = 1024;       // IPv6: of a /64
  std::size_t failed_authentications_per_minute = 600;  // of an address; 0: not bounded
  std::size_t refusals_at_once_max = 100;               // of one principal or address
  std::size_t refusals_per_second = 20;                 // beyond them; 0: not paced
  std::chrono::seconds refusal_wait_max{5};
  std::size_t body_bytes_max = 64u << 20;
  std::size_t body_memory_max = 0;         // of all requests' bodies; 0: eight times body_bytes_max
  std::size_t tenant_body_memory_max = 0;  // of one tenant's; 0: twice body_bytes_max
  std::chrono::seconds body_wait_max{5};   // for room in them
  std::chrono::seconds stall_time_max{30};
  std::size_t transfer_rate_min = 4u << 10;  // bytes a second
  std::chrono::seconds drain_time_max{30};
  bool plain_http = false;  // development mode and loopback only
};

struct DataConfig {
  std::filesystem::path dir;
  std::filesystem::path platform_key_file;  // 0600
  std::string platform_key_env;             // or the name of an environment variable
  std::size_t open_stores_max = 128;
  std::chrono::seconds key_lifetime{60};  // how long a key provider's key is used without asking it again
};

// Who wraps tenants' keys beside the platform.
struct KeyProviderConfig {
  std::string name;
  crypto::Pkcs11Options pkcs11;
  std::chrono::seconds call_time_max{5};
};

struct BackupConfig {
  std::filesystem::path dir;       // empty: no backups
  std::filesystem::path key_file;  // 0600
};

struct AuditConfig {
  std::filesystem::path dir;  // default: data.dir/audit
  std::filesystem::path witness_dir;
  bool client_address = true;  // records hold the network address of the client
  std::chrono::seconds checkpoint_interval{10};
  std::size_t reserve_bytes = 16u << 20;         // of disk, for what must be recorded when it is full
  std::size_t tenant_bytes_per_hour = 1u << 30;  // that one tenant's principals may take of the log
  std::chrono::seconds refusal_window{60};       // repeated refusals are counted over
  bool announce_changes = true;                  // false only in development: the control experiment
};

struct LocalModel {
  std::string id;
  std::filesystem::path path;
  std::string sha256;
  std::string origin, licence;          // for the model registry
  std::int64_t context = 0;             // 0: engine.context
  std::int64_t slots = 0;               // 0: engine.slots
  std::int64_t gpu_layers = -1;         // -1: engine.gpu_layers
  std::filesystem::path chat_template;  // Jinja; empty: the model file's own
};

// Servers that are not ours in the place of the own worker; urls empty: none.
struct ExternalConfig {
  engine::EngineKind kind = engine::EngineKind::OpenAi;
  std::vector<std::string> urls;  // replicas of one model
  std::filesystem::path api_key_file;
  std::string api_key_env;             // or the name of an environment variable
  std::filesystem::path ca_file;       // for https; empty: the system's roots
  std::size_t retries = 1;             // further replicas to try
  std::size_t failures_max = 3;        // in a row, until a replica's breaker opens
  std::chrono::seconds open_time{10};  // until the next trial
  std::chrono::seconds health_interval{5};
  std::chrono::seconds connect_time_max{5};
  std::chrono::seconds stall_time_max{0};  // between two pieces of an answer; 0: answer_time_max
  bool reset_cache = false;                // may all tenants' cache be dropped to burn one's
};

struct EngineConfig {
  std::string chat_url;  // short for [engine.external] with kind "openai" and one url
  std::filesystem::path chat_api_key_file;
  ExternalConfig external;
  bool is_external() const { return !external.urls.empty(); }
  std::string chat_model;              // model id that clients see (own: chat.id)
  std::int64_t chat_context = 8192;    // tokens of one sequence (remote: what it says)
  LocalModel chat, embedding, rerank;  // path empty: none
  std::vector<LocalModel> models;      // further chat models, [[engine.models]]
  std::filesystem::path model_dir;     // where models loaded while serving must lie; empty: none may
  std::vector<std::string>
      model_signers;              // Ed25519 verify keys, base64url; empty: signatures aren't asked for
  std::size_t dedicated_max = 4;  // workers of single tenants at once
  std::chrono::seconds dedicated_idle_time{300};
  std::chrono::seconds start_time_max{120};  // from a worker's start to its first answer
  std::chrono::seconds stall_time_max{120};  // of a worker that has work and makes no progress
  std::chrono::seconds hold_off_time{60};    // for a tenant whose request ended a worker; 0: none
  std::size_t slots = 4;
  std::size_t threads = 0, batch_threads = 0;
  int gpu_layers = 0;
  std::size_t concurrent = 0;  // requests inside at once; 0: 256 or slots * 64, external slots * 2
  std::size_t waiting_per_tenant = 64;
  bool lookahead = true;              // answers' next tokens are guessed from their own request's text
  std::size_t prefix_partitions = 8;  // tenants that may keep prefixes at once
  std::size_t prefix_partition_bytes = 256u << 20;
  std::filesystem::path executable;  // default: bulkhead-engine beside bulkhead
  std::chrono::seconds answer_time_max{300};
};

struct RetrievalConfig {
  double threshold = 0.36;  // measured: tests/retrieval
  std::size_t results_max = 6;
  bool rerank = true;                // when a rerank model is served
  std::int64_t answer_tokens = 512;  // kept free when max_tokens isn't given
};

struct ExtractConfig {
  std::filesystem::path executable;  // default: bulkhead-extract beside bulkhead
  std::size_t concurrent = 2;
  std::chrono::seconds time_max{30};
  std::size_t memory_bytes_max = 1u << 30;
  std::size_t file_bytes_max = 32u << 20;
  bool ocr = true;                                   // scans and pictures are read
  std::vector<std::string> ocr_languages = {"eng"};  // the main one first
  std::chrono::seconds ocr_time_max{300};            // processor time for the pages of one document
};

struct DevIdpConfig {
  std::uint16_t port = 0;
  std::string algorithm = "ES256";
  std::chrono::seconds token_lifetime{3600};
  std::filesystem::path clients_file;  // JSON, 0600: [{client_id, client_secret, …}]
};

struct Config {
  bool development = false;
  bool burn = true;  // false only in development: the control experiment
  ServerConfig server;
  DataConfig data;
  AuditConfig audit;
  BackupConfig backup;
  std::vector<identity::IssuerConfig> issuers;
  std::vector<access::RoleTable::Custom> roles;
  EngineConfig engine;
  RetrievalConfig retrieval;
  ExtractConfig extract;
  std::vector<storage::PostgresOptions> stores;  // beside the embedded one
  std::vector<KeyProviderConfig> key_providers;  // beside the platform
  tenancy::TenantPolicy tenant_defaults;
  bool show_foreign_output = false;  // development: what libraries print is logged, cleaned, not dropped
  bool metrics_public = false;       // /metrics without a credential, loopback listeners only
  DevIdpConfig dev_idp;
};

// Relative paths are taken from the file's folder.
base::Result<Config> load_config(const std::filesystem::path& file);
base::Result<Config> parse_config(std::string_view text, const std::filesystem::path& file);

}  // namespace bulkhead::gateway
