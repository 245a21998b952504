// bulkhead init, bulkhead config check.
#include <cstdio>

#include "apps/commands.h"
#include "apps/support.h"
#include "base/clock.h"
#include "base/file.h"
#include "gateway/api_error.h"
#include "storage/store_manager.h"

namespace bulkhead::apps {

using base::Error;
using base::Result;

namespace {

struct InitOptions {
  std::string config, operator_key_file;
};

Result<void> ensure_platform_key(const gateway::Config& config) {
  const std::filesystem::path& file = config.data.platform_key_file;
  if (file.empty() || std::filesystem::exists(file)) return Result<void>();
  if (std::filesystem::exists(config.data.dir / "platform.db")) {
    return Error(crypto::CryptoError::BadKey,
                 "There is data in " + config.data.dir.string() + " but no platform key at " + file.string() +
                     ". A new key could not open it: restore the key file.");
  }
  if (!file.parent_path().empty()) BULKHEAD_CHECK_OK(base::make_private_directory(file.parent_path()));
  base::Secret content = crypto::PlatformKeys::generate_file_content();
  BULKHEAD_CHECK_OK(base::write_file_atomically(file, content.reveal_text()));
  std::printf("platform key   %s (keep a copy apart from the data)\n", file.c_str());
  return Result<void>();
}

Result<void> make_operator_key(const InitOptions& options, storage::PlatformDatabase& platform) {
  BULKHEAD_TRY(existing, platform.operator_keys());
  if (!existing.empty()) {
    std::printf("operator key   there is one already\n");
    return Result<void>();
  }
  BULKHEAD_TRY(tag_key, platform.secret("api-key-tag"));
  BULKHEAD_TRY(hash_key, platform.secret("operator-key-hash"));
  auto made = identity::ApiKeyFormat(std::move(tag_key)).make(std::nullopt);
  identity::ApiKeyRecord record{.id = made.id};
  record.name = "first operator";
  record.user = "operator";
  record.roles = {"operator"};
  record.created = base::Clock::system().unix_seconds();
  record.keyed_hash = identity::api_key_hash(hash_key, made.text.reveal_text());
  // First the key to its holder, then to the store: a key that exists is never lost.
  if (!options.operator_key_file.empty()) {
    BULKHEAD_CHECK_OK(base::write_file_atomically(options.operator_key_file,
                                                  std::string(made.text.reveal_text()) + "\n"));
  }
  BULKHEAD_CHECK_OK(platform.put_operator_key(record));
  if (options.operator_key_file.empty()) {
    std::printf("operator key   %.*s\n               shown this once; keep it safe\n",
                static_cast<int>(made.text.size()), made.text.reveal_text().data());
  } else {
    std::printf("operator key   %s (mode 0600)\n", options.operator_key_file.c_str());
  }
  return Result<void>();
}

Result<void> init(const InitOptions& options) {
  BULKHEAD_TRY(config, gateway::load_config(options.config));
  BULKHEAD_CHECK_OK(base::make_private_directory(config.data.dir));
  BULKHEAD_CHECK_OK(ensure_platform_key(config));
  BULKHEAD_TRY(keys, load_platform_keys(config));
  BULKHEAD_TRY(platform, storage::PlatformDatabase::open(config.data.dir, *keys, true));
  std::printf("data           %s\n", config.data.dir.c_str());
  return make_operator_key(options, *platform);
}

}  // namespace

void add_init(CLI::App& app, Action& action) {
  auto options = std::make_shared<InitOptions>();
  CLI::App* command = app.add_subcommand("init", "Make the data folder, the platform key and the first operator key");
  command->add_option("--config", options->config, "Configuration file")->required();
  command->add_option("--operator-key-file", options->operator_key_file,
                      "Write the operator's API key here (mode 0600) instead of printing it");
  command->callback([options, &action] {
    action = [options] {
      auto done = init(*options);
      return done ? 0 : fail(done.error());
    };
  });
}

void add_config(CLI::App& app, Action& action) {
  auto file = std::make_shared<std::string>();
  CLI::App* group = app.add_subcommand("config", "The configuration file");
  group->require_subcommand(1);
  CLI::App* check = group->add_subcommand("check", "Read it and say what is wrong");
  check->add_option("--config", *file, "Configuration file")->required();
  check->callback([file, &action] {
    action = [file] {
      auto config = gateway::load_config(*file);
      if (!config) return fail(config.error());
      auto roles = access::RoleTable::build(config->roles);
      if (!roles) return fail(roles.error());
      std::printf("%s is fine\n", file->c_str());
      return 0;
    };
  });
}

}  // namespace bulkhead::apps
