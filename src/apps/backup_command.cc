// bulkhead tenant backup, bulkhead tenant restore: over the admin API. bulkhead backup: what needs no
// gateway.
#include <cstdio>

#include "apps/commands.h"
#include "apps/support.h"
#include "base/file.h"
#include "base/json.h"
#include "crypto/random.h"
#include "gateway/api_error.h"
#include "storage/archive_chain.h"
#include "storage/backup.h"

namespace bulkhead::apps {

namespace json = base::json;
using base::Error;
using base::Result;
using http::Method;

namespace {

constexpr std::chrono::hours kWorkTimeMax{24};

struct BackupCommandOptions {
  std::string config, key_file, name, to, since, backup_key, as, mode, store;
  std::vector<std::string> files;
  bool replace = false, whole = false;
};
using Shared = std::shared_ptr<BackupCommandOptions>;

// The gateway reads and writes in its own folder; a path of it is as good as the name in it. A folder's name
// ends in '/'.
Result<std::string> name_in(const gateway::Config& config, const std::string& file) {
  std::error_code ignored;
  const auto whole = [&](const std::filesystem::path& path) {
    return std::filesystem::weakly_canonical(std::filesystem::absolute(path, ignored), ignored);
  };
  const std::filesystem::path dir = whole(config.backup.dir);
  const std::filesystem::path name = whole(file).lexically_relative(dir);
  const bool inside = !name.empty() && *name.begin() != ".." && *name.begin() != ".";
  if (!inside) {
    // As it is: a name in backup.dir.
    if (!std::filesystem::path(file).is_absolute() && !file.starts_with('.')) return file;
    return Error(gateway::ApiError::BadParameter, "Backups lie in backup.dir of the configuration (" +
                                                      config.backup.dir.string() + "); copy " + file +
                                                      " there, or give its name alone.");
  }
  std::string inner = (name / "").string();
  if (!file.ends_with('/') && !std::filesystem::is_directory(dir / name, ignored)) inner.pop_back();
  return inner;
}

Result<void> backup(const BackupCommandOptions& options) {
  BULKHEAD_TRY(config, gateway::load_config(options.config));
  json::Writer w;
  w.begin_object();
  BULKHEAD_TRY(to, name_in(config, options.to));
  w.member("file", to);
  if (!options.since.empty()) {
    BULKHEAD_TRY(since, name_in(config, options.since));
    w.member("since", since);
  }
  if (options.whole) w.member("whole", true);
  w.end_object();
  BULKHEAD_TRY(client, AdminClient::open(config, options.key_file));
  BULKHEAD_TRY(answer, client.call(Method::Post, "/admin/tenants/" + options.name + "/backup", w.take(),
                                   kWorkTimeMax));
  std::printf("%s\n", answer.c_str());
  return Result<void>();
}

Result<void> restore(const BackupCommandOptions& options) {
  BULKHEAD_TRY(config, gateway::load_config(options.config));
  json::Writer w;
  w.begin_object().key("files").begin_array();
  for (const std::string& file : options.files) {
    BULKHEAD_TRY(name, name_in(config, file));
    w.value(name);
  }
  w.end_array();
  if (!options.backup_key.empty()) {
    BULKHEAD_TRY(key, storage::read_backup_key(options.backup_key));
    std::string text = base::hex_encode(key.reveal());
    w.member("backup_key", text);
    base::wipe(text);
  }
  if (!options.as.empty()) w.member("as", options.as);
  if (!options.mode.empty()) w.member("mode", options.mode);
  if (!options.store.empty()) w.member("store", options.store == "embedded" ? "" : options.store);
  if (options.replace) w.member("replace", true);
  w.end_object();
  BULKHEAD_TRY(client, AdminClient::open(config, options.key_file));
  BULKHEAD_TRY(answer, client.call(Method::Post, "/admin/restore", w.take(), kWorkTimeMax));
  std::printf("%s\n", answer.c_str());
  return Result<void>();
}

Result<void> verify(const BackupCommandOptions& options) {
  BULKHEAD_TRY(key, storage::read_backup_key(options.backup_key));
  std::vector<std::filesystem::path> files(options.files.begin(), options.files.end());
  std::error_code ignored;
  if (files.size() == 1 && std::filesystem::is_directory(files.front(), ignored)) {
    BULKHEAD_TRY(chain, storage::newest_chain(files.front()));
    files = std::move(chain);
  }
  BULKHEAD_TRY(chain, storage::ArchiveChain::open(files, key));
  BULKHEAD_TRY(facts, storage::read_tenant_facts(chain.newest().tenant()));
  const storage::Manifest& manifest = chain.newest().manifest();
  std::printf("whole and authentic: tenant %s (%s) as of %s, %zu records in %zu archives, manifest %s\n",
              facts.tenant.id.str().c_str(), std::string(tenancy::mode_name(facts.tenant.mode)).c_str(),
              manifest.taken.c_str(), manifest.entries.size(), chain.size(),
              base::hex_encode(manifest.digest()).c_str());
  return Result<void>();
}

Result<void> make_key(const BackupCommandOptions& options) {
  std::error_code ignored;
  if (std::filesystem::exists(options.to, ignored)) {
    return Error(gateway::ApiError::BadParameter,
                 "There is a file " + options.to + " already. A backup key is never written over.");
  }
  const base::Secret key = crypto::random_secret(storage::kBackupKeyBytes);
  std::string text = base::hex_encode(key.reveal()) + "\n";
  auto written = base::write_file_atomically(options.to, text);
  base::wipe(text);
  BULKHEAD_CHECK_OK(std::move(written));
  std::printf("backup key %s in %s (mode 0600); keep a copy apart from the backups\n",
              storage::backup_key_id(key).c_str(), options.to.c_str());
  return Result<void>();
}

void set_action(CLI::App* command, const Shared& options, Action& action,
                Result<void> (*run)(const BackupCommandOptions&)) {
  command->callback([options, &action, run] {
    action = [options, run] {
      auto done = run(*options);
      return done ? 0 : fail(done.error());
    };
  });
}

}  // namespace

void add_backup(CLI::App& app, Action& action) {
  auto options = std::make_shared<BackupCommandOptions>();
  CLI::App* tenant = app.get_subcommand("tenant");
  CLI::App* made =
      tenant->add_subcommand("backup", "Write an encrypted backup of a tenant, while it is in use");
  add_admin_options(made, options->config, options->key_file);
  made->add_option("name", options->name, "The tenant")->required();
  made->add_option("--to", options->to,
                   "The new file, in backup.dir; or FOLDER/, to go on with the backups in that folder of it")
      ->required();
  made->add_option("--since", options->since,
                   "An earlier backup in backup.dir: write only what changed since");
  made->add_flag("--whole", options->whole, "In a folder: begin anew with a whole backup");
  set_action(made, options, action, backup);
  CLI::App* back = tenant->add_subcommand("restore", "Make a tenant from a backup and its increments");
  add_admin_options(back, options->config, options->key_file);
  back->add_option("files", options->files,
                   "The whole backup and its increments, in backup.dir; or FOLDER/, for its newest one")
      ->required();
  back->add_option("--backup-key", options->backup_key,
                   "File with the key they were made under (mode 0600); the configuration's if not given");
  back->add_option("--as", options->as, "Under another name; needs --backup-key");
  back->add_option("--mode", options->mode, "Another isolation mode: silo, hybrid or pooled");
  back->add_option("--store", options->store, "Another store: the name of a [[store]], or embedded");
  back->add_flag("--replace", options->replace, "Take a suspended tenant that is there back to that state");
  set_action(back, options, action, restore);
  CLI::App* group = app.add_subcommand("backup", "Backup keys, and checking backups without a gateway");
  group->require_subcommand(1);
  CLI::App* check =
      group->add_subcommand("verify", "Read backups from their first byte to their last, offline");
  check
      ->add_option("files", options->files,
                   "A whole backup and its increments; or a folder, for its newest one")
      ->required();
  check->add_option("--backup-key", options->backup_key, "File with their key (mode 0600)")->required();
  set_action(check, options, action, verify);
  CLI::App* key = group->add_subcommand("key", "Make a new backup key");
  key->add_option("file", options->to, "The new file")->required();
  set_action(key, options, action, make_key);
}

}  // namespace bulkhead::apps
