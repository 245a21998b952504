// bulkhead dev-idp: the development issuer.
#include <signal.h>
#include <unistd.h>

#include <cstdio>

#include "apps/commands.h"
#include "apps/support.h"
#include "base/file.h"
#include "base/json.h"
#include "gateway/api_error.h"
#include "identity/dev_idp.h"

namespace bulkhead::apps {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kClientsBytesMax = 1 << 20;

std::vector<std::string> texts(const json::Value& list) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < list.size(); ++i) out.emplace_back(list.at(i).as_string().value_or(""));
  return out;
}

Result<std::vector<identity::DevClient>> read_clients(const std::filesystem::path& file) {
  BULKHEAD_TRY(text, base::read_secret_file(file, kClientsBytesMax));
  BULKHEAD_TRY(document, json::Document::parse(text.reveal_text()));
  std::vector<identity::DevClient> clients;
  for (std::size_t i = 0; i < document.root().size(); ++i) {
    json::Value item = document.root().at(i);
    auto member = [&item](std::string_view name) { return std::string(item[name].as_string().value_or("")); };
    identity::DevClient client;
    client.client_id = member("client_id");
    client.client_secret = base::Secret::copy_of(member("client_secret"));
    client.subject = member("subject");
    client.tenant = member("tenant");
    client.roles = texts(item["roles"]);
    client.groups = texts(item["groups"]);
    if (client.client_id.empty() || client.client_secret.empty() || client.subject.empty()) {
      return Error(gateway::ConfigError::BadValue, file.string() + ": client " + std::to_string(i + 1) +
                                                       " needs client_id, client_secret and subject.");
    }
    clients.push_back(std::move(client));
  }
  return clients;
}

Result<void> run(const std::string& config_file) {
  BULKHEAD_TRY(config, gateway::load_config(config_file));
  if (!config.development) {
    return Error(gateway::ConfigError::Contradiction,
                 "dev-idp runs in mode = \"development\" only. In production, name your identity provider in "
                 "[[issuer]].");
  }
  identity::DevIdpOptions options;
  BULKHEAD_TRY(clients, read_clients(config.dev_idp.clients_file));
  options.clients = std::move(clients);
  options.address.port = config.dev_idp.port;
  options.algorithm = config.dev_idp.algorithm;
  options.token_lifetime = config.dev_idp.token_lifetime;
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  http::ReactorPool reactors(1);
  BULKHEAD_TRY(idp, identity::DevIdp::start(reactors, std::move(options), base::Clock::system()));
  BULKHEAD_CHECK_OK(base::make_private_directory(config.data.dir / "run"));
  json::Writer state;
  state.begin_object().member("pid", static_cast<std::int64_t>(::getpid())).member("issuer", idp->issuer());
  state.member("token_url", idp->token_url()).end_object();
  BULKHEAD_CHECK_OK(base::write_file_atomically(run_file(config, "dev-idp"), state.take() + "\n"));
  std::printf("development issuer at %s (SIGUSR1 rotates its keys)\n", idp->issuer().c_str());
  std::fflush(stdout);
  for (int signal = 0; sigwait(&signals, &signal) == 0 && signal == SIGUSR1;) idp->rotate_keys();
  ::unlink(run_file(config, "dev-idp").c_str());
  return Result<void>();
}

}  // namespace

void add_dev_idp(CLI::App& app, Action& action) {
  auto config = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("dev-idp", "A small token issuer for demos and tests (development mode only)");
  command->add_option("--config", *config, "Configuration file")->required();
  command->callback([config, &action] {
    action = [config] {
      auto done = run(*config);
      return done ? 0 : fail(done.error());
    };
  });
}

}  // namespace bulkhead::apps
