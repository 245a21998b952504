// bulkhead tenant: the operator's commands over the admin API.
#include <cstdio>

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

constexpr std::size_t kPolicyBytesMax = 256 << 10;

struct TenantOptions {
  std::string config, key_file, name, display_name, mode, store, key_provider, policy, reason, certificate;
  bool yes = false, as_json = false;
};
using Shared = std::shared_ptr<TenantOptions>;

// Loads the configuration, calls, prints by `print`.
int perform(const TenantOptions& options, Method method, const std::string& path, const std::string& body,
            const std::function<Result<void>(const std::string&)>& print) {
  auto config = gateway::load_config(options.config);
  if (!config) return fail(config.error());
  auto client = AdminClient::open(*config, options.key_file);
  if (!client) return fail(client.error());
  auto answer = client->call(method, path, body);
  if (!answer) return fail(answer.error());
  auto printed = print(*answer);
  return printed ? 0 : fail(printed.error());
}

Result<void> print_raw(const std::string& body) {
  std::printf("%s\n", body.c_str());
  return Result<void>();
}

Result<void> print_state(const std::string& body) {
  BULKHEAD_TRY(document, json::Document::parse(body));
  auto text = [&](std::string_view name) {
    return std::string(document.root()[name].as_string().value_or(""));
  };
  std::printf("%s is %s (%s)\n", text("id").c_str(), text("state").c_str(), text("mode").c_str());
  return Result<void>();
}

Result<void> print_list(const std::string& body) {
  BULKHEAD_TRY(document, json::Document::parse(body));
  json::Value data = document.root()["data"];
  std::printf("%-24s %-10s %-8s %s\n", "TENANT", "STATE", "MODE", "NAME");
  for (std::size_t i = 0; i < data.size(); ++i) {
    auto text = [&](std::string_view name) { return std::string(data.at(i)[name].as_string().value_or("")); };
    std::printf("%-24s %-10s %-8s %s\n", text("id").c_str(), text("state").c_str(), text("mode").c_str(),
                text("display_name").c_str());
  }
  return Result<void>();
}

Result<std::string> read_policy(const std::string& file) {
  BULKHEAD_TRY(text, base::read_file(file, kPolicyBytesMax));
  BULKHEAD_TRY(document, json::Document::parse(text));
  json::Writer copy;
  copy.copy(document.root());
  return copy.take();
}

int create(const TenantOptions& options) {
  json::Writer w;
  w.begin_object().member("id", options.name);
  if (!options.display_name.empty()) w.member("display_name", options.display_name);
  if (!options.mode.empty()) w.member("mode", options.mode);
  if (!options.store.empty()) w.member("store", options.store);
  if (!options.key_provider.empty()) w.member("key_provider", options.key_provider);
  if (!options.policy.empty()) {
    auto policy = read_policy(options.policy);
    if (!policy) return fail(policy.error());
    w.key("policy").raw(*policy);
  }
  w.end_object();
  return perform(options, Method::Post, "/admin/tenants", w.take(), print_state);
}

int destroy(const TenantOptions& options) {
  if (!options.yes) {
    return fail(Error(gateway::ApiError::MissingParameter,
                      "This destroys all data of tenant " + options.name + " for good. Add --yes to do it."));
  }
  return perform(options, Method::Delete, "/admin/tenants/" + options.name, "",
                 [&](const std::string& body) -> Result<void> {
                   if (options.certificate.empty()) return print_raw(body);
                   BULKHEAD_CHECK_OK(base::write_file_atomically(options.certificate, body + "\n", 0644));
                   std::printf("destroyed; certificate in %s\n", options.certificate.c_str());
                   return Result<void>();
                 });
}

CLI::App* add_verb(CLI::App* group, const char* name, const char* help, const Shared& options, Action& action,
                   std::function<int(const TenantOptions&)> run, bool named = true) {
  CLI::App* verb = group->add_subcommand(name, help);
  add_admin_options(verb, options->config, options->key_file);
  if (named) verb->add_option("name", options->name, "The tenant")->required();
  verb->callback([options, &action, run] { action = [options, run] { return run(*options); }; });
  return verb;
}

}  // namespace

void add_tenant(CLI::App& app, Action& action) {
  auto options = std::make_shared<TenantOptions>();
  CLI::App* group = app.add_subcommand("tenant", "Create, show, suspend, resume and destroy tenants");
  group->require_subcommand(1);
  CLI::App* made = add_verb(group, "create", "Make a tenant", options, action, create);
  made->add_option("--display-name", options->display_name, "Name for people");
  made->add_option("--mode", options->mode, "Isolation mode: silo, hybrid (default) or pooled");
  made->add_option("--store", options->store,
                   "Where its data will be: the name of a [[store]] (embedded if not given)");
  made->add_option("--key-provider", options->key_provider,
                   "Who wraps its key: the name of a [[key_provider]] (the platform if not given)");
  made->add_option("--policy", options->policy, "JSON file with the tenant's policy");
  add_verb(
      group, "list", "List tenants", options, action,
      [](const TenantOptions& o) { return perform(o, Method::Get, "/admin/tenants", "", print_list); },
      false);
  add_verb(group, "show", "Show one tenant as JSON", options, action, [](const TenantOptions& o) {
    return perform(o, Method::Get, "/admin/tenants/" + o.name, "", print_raw);
  });
  CLI::App* policy =
      add_verb(group, "policy", "Replace a tenant's policy", options, action, [](const TenantOptions& o) {
        auto body = read_policy(o.policy);
        if (!body) return fail(body.error());
        return perform(o, Method::Put, "/admin/tenants/" + o.name + "/policy", *body, print_state);
      });
  policy->add_option("--policy", options->policy, "JSON file with the whole policy")->required();
  CLI::App* suspend = add_verb(group, "suspend", "Cut a tenant's keys, tokens and running requests at once",
                               options, action, [](const TenantOptions& o) {
                                 json::Writer w;
                                 w.begin_object().member("reason", o.reason).end_object();
                                 return perform(o, Method::Post, "/admin/tenants/" + o.name + "/suspend",
                                                w.take(), print_state);
                               });
  suspend->add_option("--reason", options->reason, "Why, for the log");
  add_verb(group, "resume", "Let a suspended tenant work again", options, action, [](const TenantOptions& o) {
    return perform(o, Method::Post, "/admin/tenants/" + o.name + "/resume", "", print_state);
  });
  CLI::App* gone = add_verb(group, "destroy", "Crypto-erase a tenant and write a signed certificate", options,
                            action, destroy);
  gone->add_flag("--yes", options->yes, "Really");
  gone->add_option("--certificate", options->certificate, "Write the certificate here");
}

}  // namespace bulkhead::apps
