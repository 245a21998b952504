// bulkhead erase: shreds a document, a kept chat or a user's data over the admin API.
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

struct EraseOptions {
  std::string config, key_file, tenant, file, chat, user, certificate;
  bool yes = false, list = false;
};

Result<void> print_certificates(const std::string& answer) {
  BULKHEAD_TRY(document, json::Document::parse(answer));
  const json::Value data = document.root()["data"];
  for (std::size_t i = 0; i < data.size(); ++i) {
    std::printf("%s\n", std::string(data.at(i)["certificate"].as_string().value_or("")).c_str());
  }
  return Result<void>();
}

Result<void> erase(const EraseOptions& options) {
  BULKHEAD_TRY(config, gateway::load_config(options.config));
  const std::string path = "/admin/tenants/" + options.tenant + "/erasures";
  if (options.list) {
    BULKHEAD_TRY(reader, AdminClient::open(config, options.key_file));
    BULKHEAD_TRY(answer, reader.call(Method::Get, path, ""));
    return print_certificates(answer);
  }
  const int named = !options.file.empty() + !options.chat.empty() + !options.user.empty();
  if (named != 1) {
    return Error(gateway::ApiError::BadParameter, "Name exactly one of --file, --chat and --user.");
  }
  if (!options.yes) {
    return Error(gateway::ApiError::MissingParameter,
                 "This destroys the data for good; nobody can bring it back. Add --yes to do it.");
  }
  BULKHEAD_TRY(client, AdminClient::open(config, options.key_file));
  json::Writer w;
  w.begin_object();
  if (!options.file.empty()) w.member("file", options.file);
  if (!options.chat.empty()) w.member("chat", options.chat);
  if (!options.user.empty()) w.member("user", options.user);
  w.end_object();
  BULKHEAD_TRY(answer, client.call(Method::Post, path, w.take()));
  if (options.certificate.empty()) {
    std::printf("%s\n", answer.c_str());
    return Result<void>();
  }
  BULKHEAD_CHECK_OK(base::write_file_atomically(options.certificate, answer + "\n", 0644));
  std::printf("erased; certificate in %s\n", options.certificate.c_str());
  return Result<void>();
}

}  // namespace

void add_erase(CLI::App& app, Action& action) {
  auto options = std::make_shared<EraseOptions>();
  CLI::App* command = app.add_subcommand(
      "erase", "Crypto-erase a document, a kept chat or a user's data, with a signed certificate");
  add_admin_options(command, options->config, options->key_file);
  command->add_option("--tenant", options->tenant, "The tenant")->required();
  command->add_option("--file", options->file, "A document, by its file id");
  command->add_option("--chat", options->chat, "A kept chat, by its id");
  command->add_option("--user", options->user, "A user's files, kept chats and API keys, by their name");
  command->add_flag("--yes", options->yes, "Do it");
  command->add_option("--certificate", options->certificate, "Write the certificate here");
  command->add_flag("--list", options->list, "Print the certificates of earlier erasures, one a line");
  command->callback([options, &action] {
    action = [options] {
      auto done = erase(*options);
      return done ? 0 : fail(done.error());
    };
  });
}

}  // namespace bulkhead::apps
