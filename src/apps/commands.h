// The commands of `bulkhead`. Each adds itself to the command line; main.cc lists them. A command's
// action returns the process's exit status: 0 done, 1 failed or findings, 2 wrong usage.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

namespace bulkhead::apps {

// What the chosen command will do; run after parsing.
using Action = std::function<int()>;

// --config and --key-file of a command that talks to the running gateway as its operator.
void add_admin_options(CLI::App* command, std::string& config, std::string& key_file);

void add_serve(CLI::App& app, Action& action);
void add_init(CLI::App& app, Action& action);
void add_config(CLI::App& app, Action& action);
void add_issuer(CLI::App& app, Action& action);
void add_dev_idp(CLI::App& app, Action& action);
void add_tenant(CLI::App& app, Action& action);
void add_posture(CLI::App& app, Action& action);
void add_model(CLI::App& app, Action& action);
void add_erase(CLI::App& app, Action& action);
void add_backup(CLI::App& app, Action& action);
void add_migrate(CLI::App& app, Action& action);
void add_keys(CLI::App& app, Action& action);
void add_operator_key(CLI::App& app, Action& action);
void add_audit(CLI::App& app, Action& action);
void add_receipt(CLI::App& app, Action& action);

}  // namespace bulkhead::apps
