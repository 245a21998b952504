// bulkhead tenant migrate: another isolation mode and store for a tenant, online, over the admin API.
#include <cstdio>
#include <thread>

#include "apps/commands.h"
#include "apps/support.h"
#include "base/file.h"
#include "base/json.h"
#include "gateway/api_error.h"

namespace bulkhead::apps {

namespace json = base::json;
using base::Error;
using base::Result;
using http::Method;

namespace {

constexpr std::chrono::milliseconds kPollInterval{200};

struct MigrateOptions {
  std::string config, key_file, name, mode, store, certificate;
  bool no_wait = false, watch = false, cancel = false, list = false;
};

std::string text_of(const json::Value& value) { return std::string(value.as_string().value_or("")); }

std::string path_of(const MigrateOptions& options, const char* what) {
  return "/admin/tenants/" + options.name + "/" + what;
}

Result<std::vector<std::string>> certificates(AdminClient& client, const MigrateOptions& options) {
  BULKHEAD_TRY(answer, client.call(Method::Get, path_of(options, "moves"), ""));
  BULKHEAD_TRY(document, json::Document::parse(answer));
  std::vector<std::string> all;
  const json::Value data = document.root()["data"];
  for (std::size_t i = 0; i < data.size(); ++i) all.push_back(text_of(data.at(i)["certificate"]));
  return all;
}

// `before`: how many moves had ended.
Result<void> wait_until_moved(AdminClient& client, const MigrateOptions& options, std::size_t before) {
  std::string shown;
  while (true) {
    BULKHEAD_TRY(answer, client.call(Method::Get, "/admin/tenants/" + options.name, ""));
    BULKHEAD_TRY(document, json::Document::parse(answer));
    const json::Value move = document.root()["move"];
    if (!move.exists()) break;
    std::string line = text_of(move["phase"]) + ": " + std::to_string(move["records"].as_int().value_or(0)) +
                       " records looked at, " + std::to_string(move["copied"].as_int().value_or(0)) +
                       " copied";
    if (const std::string delayed = text_of(move["delayed"]); !delayed.empty())
      line += ", delayed: " + delayed;
    if (options.watch && line != shown) std::printf("%s\n", line.c_str());
    std::fflush(stdout);
    shown = std::move(line);
    std::this_thread::sleep_for(kPollInterval);
  }
  BULKHEAD_TRY(all, certificates(client, options));
  if (all.size() <= before) {
    return Error(gateway::ApiError::Conflict, "The move was given up; the tenant is where it was.");
  }
  if (options.certificate.empty()) {
    std::printf("%s\n", all.back().c_str());
    return Result<void>();
  }
  BULKHEAD_CHECK_OK(base::write_file_atomically(options.certificate, all.back() + "\n", 0644));
  std::printf("moved; certificate in %s\n", options.certificate.c_str());
  return Result<void>();
}

Result<void> migrate(const MigrateOptions& options) {
  BULKHEAD_TRY(config, gateway::load_config(options.config));
  BULKHEAD_TRY(client, AdminClient::open(config, options.key_file));
  BULKHEAD_TRY(before, certificates(client, options));
  if (options.list) {
    for (const std::string& each : before) std::printf("%s\n", each.c_str());
    return Result<void>();
  }
  if (options.cancel) {
    BULKHEAD_TRY(answer, client.call(Method::Delete, path_of(options, "move"), ""));
    std::printf("given up; the tenant is where it was\n");
    return Result<void>();
  }
  if (options.mode.empty()) {
    return Error(gateway::ApiError::MissingParameter, "Name the mode: --to silo, hybrid or pooled.");
  }
  json::Writer w;
  w.begin_object().member("mode", options.mode);
  if (!options.store.empty()) w.member("store", options.store == "embedded" ? "" : options.store);
  w.end_object();
  BULKHEAD_TRY(answer, client.call(Method::Post, path_of(options, "move"), w.take()));
  if (options.no_wait) {
    std::printf("%s\n", answer.c_str());
    return Result<void>();
  }
  return wait_until_moved(client, options, before.size());
}

}  // namespace

void add_migrate(CLI::App& app, Action& action) {
  auto options = std::make_shared<MigrateOptions>();
  CLI::App* command = app.get_subcommand("tenant")->add_subcommand(
      "migrate", "Take a tenant to another isolation mode and its data to another store, while it works");
  add_admin_options(command, options->config, options->key_file);
  command->add_option("name", options->name, "The tenant")->required();
  command->add_option("--to", options->mode, "Isolation mode: silo, hybrid or pooled");
  command->add_option("--store", options->store,
                      "The name of a [[store]], or embedded; where it is, if that gives the mode");
  command->add_option("--certificate", options->certificate, "Write the certificate here");
  command->add_flag("--watch", options->watch, "Say how far it is");
  command->add_flag("--no-wait", options->no_wait, "It goes on by itself");
  command->add_flag("--cancel", options->cancel, "Give a move up that has not switched yet");
  command->add_flag("--list", options->list, "Print the certificates of earlier moves, one a line");
  command->callback([options, &action] {
    action = [options] {
      auto done = migrate(*options);
      return done ? 0 : fail(done.error());
    };
  });
}

}  // namespace bulkhead::apps
