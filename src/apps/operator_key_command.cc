// bulkhead operator-key: the platform's own API keys. With the gateway stopped, by whoever holds the
// platform key: no key of the API makes another operator.
#include <algorithm>
#include <cstdio>

#include "apps/commands.h"
#include "apps/offline.h"
#include "apps/support.h"
#include "base/clock.h"
#include "base/file.h"

namespace bulkhead::apps {

using base::Error;
using base::Result;

namespace {

struct Options {
  std::string config, name, file, id;
};

// Makes a key, gives its text to `file` or the terminal, and stores its keyed hash.
Result<void> create(const Options& options) {
  BULKHEAD_TRY(platform, OfflinePlatform::open(options.config));
  BULKHEAD_CHECK_OK(platform.change(audit::Event::OperatorKeyCreated, [&]() -> Result<std::string> {
    BULKHEAD_TRY(made, make_operator_key(platform.database(), options.name, options.file));
    return made.str();
  }));
  return platform.close();
}

Result<void> list(const Options& options) {
  BULKHEAD_TRY(config, gateway::load_config(options.config));
  BULKHEAD_TRY(keys, load_platform_keys(config));
  BULKHEAD_TRY(database, storage::PlatformDatabase::open(config.data.dir, *keys, false));
  BULKHEAD_TRY(records, database->operator_keys());
  for (const identity::ApiKeyRecord& key : records) {
    std::printf("%s  created %lld  %s  %s\n", key.id.str().c_str(), static_cast<long long>(key.created),
                key.revoked ? "revoked" : "active ", key.name.c_str());
  }
  return Result<void>();
}

Result<void> revoke(const Options& options) {
  auto id = base::ApiKeyId::parse(options.id);
  if (!id)
    return Error(storage::StorageError::NotFound,
                 "'" + options.id + "' is not the id of a key; see `bulkhead operator-key list`.");
  BULKHEAD_TRY(platform, OfflinePlatform::open(options.config));
  BULKHEAD_TRY(keys, platform.database().operator_keys());
  bool found = false, another = false;
  for (const identity::ApiKeyRecord& key : keys) {
    if (key.id == *id)
      found = true;
    else if (!key.revoked)
      another = true;
  }
  if (!found) return Error(storage::StorageError::NotFound, "There is no operator key " + id->str() + ".");
  if (!another) {
    return Error(storage::StorageError::NotFound,
                 "This is the last operator key. Make another one first: `bulkhead operator-key create`.");
  }
  BULKHEAD_CHECK_OK(platform.change(audit::Event::OperatorKeyRevoked, [&]() -> Result<std::string> {
    BULKHEAD_CHECK_OK(platform.database().revoke_operator_key(*id));
    return id->str();
  }));
  BULKHEAD_CHECK_OK(platform.close());
  std::printf("revoked        %s\n", id->str().c_str());
  return Result<void>();
}

}  // namespace

void add_operator_key(CLI::App& app, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* group = app.add_subcommand("operator-key", "Operators' API keys; with the gateway stopped");
  group->require_subcommand(1);
  auto add = [&](const char* name, const char* what, Result<void> (*run)(const Options&)) {
    CLI::App* command = group->add_subcommand(name, what);
    command->add_option("--config", options->config, "Configuration file")->required();
    command->callback([options, run, &action] {
      action = [options, run] {
        auto done = run(*options);
        return done ? 0 : fail(done.error());
      };
    });
    return command;
  };
  CLI::App* make = add("create", "Make one; its text is shown once", create);
  make->add_option("--name", options->name, "For people: whose it is")->required();
  make->add_option("--file", options->file, "Write the key here (mode 0600) instead of printing it");
  add("list", "Their ids, without their texts", list);
  CLI::App* end = add("revoke", "End one", revoke);
  end->add_option("id", options->id, "Its id, from list")->required();
}

}  // namespace bulkhead::apps
