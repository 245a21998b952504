// bulkhead keys: rotation of the platform's keys and of a tenant's, over the admin API; making a key
// provider's key in its token.
#include <chrono>
#include <cstdio>
#include <thread>

#include "apps/commands.h"
#include "apps/support.h"
#include "base/json.h"
#include "crypto/pkcs11_provider.h"
#include "gateway/api_error.h"

namespace bulkhead::apps {

namespace json = base::json;
using base::Error;
using base::Result;
using http::Method;

namespace {

constexpr std::chrono::milliseconds kPollInterval{200};

struct KeyOptions {
  std::string config, key_file, tenant, purpose, provider;
  bool platform = false, no_wait = false;
};

struct ProviderOptions {
  std::string config, name;
};

Result<void> wait_until_moved(AdminClient& client, const KeyOptions& options) {
  while (true) {
    BULKHEAD_TRY(answer, client.call(Method::Get, "/admin/tenants/" + options.tenant, ""));
    BULKHEAD_TRY(document, json::Document::parse(answer));
    json::Value keys = document.root()["keys"];
    std::string rotation(keys["rotation"].as_string().value_or("none"));
    if (rotation == "none") {
      std::printf("%s: tenant key %lld (%s), older keys destroyed\n", options.tenant.c_str(),
                  static_cast<long long>(keys["key_number"].as_int().value_or(0)),
                  std::string(keys["provider"].as_string().value_or("")).c_str());
      return Result<void>();
    }
    std::this_thread::sleep_for(kPollInterval);
  }
}

Result<void> rotate(const KeyOptions& options) {
  if (options.platform && !options.tenant.empty()) {
    return Error(gateway::ApiError::BadParameter, "Name either --platform or --tenant, not both.");
  }
  BULKHEAD_TRY(config, gateway::load_config(options.config));
  BULKHEAD_TRY(client, AdminClient::open(config, options.key_file));
  if (options.tenant.empty()) {
    BULKHEAD_TRY(answer, client.call(Method::Post, "/admin/keys/rotate", ""));
    std::printf("%s\n", answer.c_str());
    return Result<void>();
  }
  json::Writer w;
  w.begin_object();
  if (!options.purpose.empty()) w.member("purpose", options.purpose);
  if (!options.provider.empty()) w.member("provider", options.provider);
  w.end_object();
  BULKHEAD_TRY(answer,
               client.call(Method::Post, "/admin/tenants/" + options.tenant + "/keys/rotate", w.take()));
  if (options.no_wait) {
    std::printf("%s\n", answer.c_str());
    return Result<void>();
  }
  return wait_until_moved(client, options);
}

Result<void> init_provider(const ProviderOptions& options) {
  BULKHEAD_TRY(config, gateway::load_config(options.config));
  for (const gateway::KeyProviderConfig& each : config.key_providers) {
    if (each.name != options.name) continue;
    BULKHEAD_TRY(token, crypto::Pkcs11Provider::open(each.pkcs11));
    BULKHEAD_TRY(made, token->make_key());
    BULKHEAD_CHECK_OK(crypto::try_provider(*token));
    std::printf("%s: %s; tried, it wraps and unwraps\n", token->describe().c_str(),
                made ? "made, and can't be taken out of the token" : "was there already");
    return Result<void>();
  }
  return Error(gateway::ApiError::BadParameter, "There is no [[key_provider]] named \"" + options.name +
                                                    "\" in " + options.config + ". Add it first.");
}

void add_provider_init(CLI::App& group, Action& action) {
  auto options = std::make_shared<ProviderOptions>();
  CLI::App* verb = group.add_subcommand(
      "provider-init", "Make a key provider's key in its token, unless it is there, and try it");
  verb->add_option("--config", options->config, "Configuration file")->required();
  verb->add_option("name", options->name, "Name of a [[key_provider]]")->required();
  verb->callback([options, &action] {
    action = [options] {
      auto done = init_provider(*options);
      return done ? 0 : fail(done.error());
    };
  });
}

}  // namespace

void add_keys(CLI::App& app, Action& action) {
  auto options = std::make_shared<KeyOptions>();
  CLI::App* group = app.add_subcommand("keys", "The platform's keys and the tenants'");
  group->require_subcommand(1);
  add_provider_init(*group, action);
  CLI::App* verb = group->add_subcommand(
      "rotate", "Make new keys and move everything to them, online; without --tenant the platform's");
  add_admin_options(verb, options->config, options->key_file);
  verb->add_flag("--platform", options->platform, "The platform key: re-wraps every tenant key");
  verb->add_option("--tenant", options->tenant, "A tenant's key and the keys of its data");
  verb->add_option("--purpose", options->purpose,
                   "Only this key of the tenant: database, record-seal or audit-hash");
  verb->add_option("--provider", options->provider,
                   "From now on this [[key_provider]] wraps the tenant key; \"platform\" for the platform");
  verb->add_flag("--no-wait", options->no_wait,
                 "Return when the new keys are in use; the data moves meanwhile");
  verb->callback([options, &action] {
    action = [options] {
      auto done = rotate(*options);
      return done ? 0 : fail(done.error());
    };
  });
}

}  // namespace bulkhead::apps
