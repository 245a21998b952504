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
    return Error(crypto::CryptoError::BadKey, "There is data in " + config.data.dir.string() +
                                                  " but no platform key at " + file.string() +
                                                  ". A new key could not open it: restore the key file.");
  }
  if (!file.parent_path().empty()) BULKHEAD_CHECK_OK(base::make_private_directory(file.parent_path()));
  base::Secret content = crypto::PlatformKeys::generate_file_content();
  BULKHEAD_CHECK_OK(base::write_file_atomically(file, content.reveal_text()));
  std::printf("platform key   %s (keep a copy apart from the data)\n", file.c_str());
  return Result<void>();
}

Result<void> ensure_operator_key(const InitOptions& options, storage::PlatformDatabase& platform) {
  BULKHEAD_TRY(existing, platform.operator_keys());
  if (!existing.empty()) {
    std::printf("operator key   there is one already\n");
    return Result<void>();
  }
  BULKHEAD_CHECK_OK(make_operator_key(platform, "first operator", options.operator_key_file));
  return Result<void>();
}

Result<void> init(const InitOptions& options) {
  BULKHEAD_TRY(config, gateway::load_config(options.config));
  BULKHEAD_CHECK_OK(base::make_private_directory(config.data.dir));
  BULKHEAD_CHECK_OK(ensure_platform_key(config));
  BULKHEAD_TRY(keys, load_platform_keys(config));
  BULKHEAD_TRY(platform, storage::PlatformDatabase::open(config.data.dir, *keys, true));
  std::printf("data           %s\n", config.data.dir.c_str());
  return ensure_operator_key(options, *platform);
}

}  // namespace

void add_init(CLI::App& app, Action& action) {
  auto options = std::make_shared<InitOptions>();
  CLI::App* command =
      app.add_subcommand("init", "Make the data folder, the platform key and the first operator key");
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
