// bulkhead model: the registry of models and its changes, over the admin API.
#include <cstdio>

#include "apps/commands.h"
#include "apps/support.h"
#include "base/json.h"

namespace bulkhead::apps {

namespace json = base::json;
using base::Result;
using http::Method;

namespace {

struct ModelOptions {
  std::string config, key_file, id, kind = "chat", path, sha256, origin, licence;
  double share = 1;
  std::int64_t context = 0, slots = 0, gpu_layers = -1;
};
using Shared = std::shared_ptr<ModelOptions>;

int perform(const ModelOptions& options, Method method, const std::string& path, const std::string& body,
            const std::function<Result<void>(const std::string&)>& print) {
  auto config = gateway::load_config(options.config);
  if (!config) return fail(config.error());
  auto client = AdminClient::open(*config, options.key_file);
  if (!client) return fail(client.error());
  // A large file is read for its hash twice before its worker answers.
  auto answer =
      client->call(method, path, body, 2 * config->engine.start_time_max + std::chrono::minutes(10));
  if (!answer) return fail(answer.error());
  auto printed = print(*answer);
  return printed ? 0 : fail(printed.error());
}

std::string text_of(const json::Value& object, std::string_view name) {
  return std::string(object[name].as_string().value_or(""));
}

void print_version(const std::string& id, const json::Value& version, const std::string& state,
                   double share) {
  std::printf("%-28s %-10s %-9s %5.1f%%  %.16s  %-14s %s\n", id.c_str(), text_of(version, "kind").c_str(),
              state.c_str(), share * 100, text_of(version, "sha256").c_str(),
              text_of(version, "licence").c_str(), text_of(version, "origin").c_str());
}

void print_indexing(const json::Value& indexing) {
  const json::Value skipped = indexing["skipped"];
  std::printf("  documents are being indexed anew: %lld of %lld tenants done",
              static_cast<long long>(indexing["tenants_done"].as_int().value_or(0)),
              static_cast<long long>(indexing["tenants_total"].as_int().value_or(0)));
  for (std::size_t i = 0; i < skipped.size(); ++i) {
    std::printf("%s%s", i == 0 ? "; passed over: " : ", ",
                std::string(skipped.at(i).as_string().value_or("")).c_str());
  }
  std::printf("\n");
}

void print_entry(const json::Value& entry) {
  std::string id = text_of(entry, "id");
  double share = entry["next_share"].as_double().value_or(0);
  print_version(id, entry["current"], text_of(entry, "state"), 1 - share);
  const json::Value indexing = entry["indexing"];
  const bool running = text_of(indexing, "state") == "indexing_anew";
  if (entry["next"].exists()) {
    print_version(id + " (new)", entry["next"], running ? "indexing" : text_of(entry["next_worker"], "state"),
                  share);
  }
  if (running) print_indexing(indexing);
}

void print_head() {
  std::printf("%-28s %-10s %-9s %6s  %-16s  %-14s %s\n", "MODEL", "KIND", "STATE", "SHARE", "SHA256",
              "LICENCE", "ORIGIN");
}

Result<void> print_list(const std::string& body) {
  BULKHEAD_TRY(document, json::Document::parse(body));
  json::Value data = document.root()["data"];
  print_head();
  for (std::size_t i = 0; i < data.size(); ++i) print_entry(data.at(i));
  return Result<void>();
}

Result<void> print_one(const std::string& body) {
  BULKHEAD_TRY(document, json::Document::parse(body));
  print_head();
  print_entry(document.root());
  return Result<void>();
}

void write_file_members(json::Writer& w, const ModelOptions& o) {
  w.member("path", o.path).member("sha256", o.sha256).member("origin", o.origin).member("licence", o.licence);
  if (o.context > 0) w.member("context", o.context);
  if (o.slots > 0) w.member("slots", o.slots);
  if (o.gpu_layers >= 0) w.member("gpu_layers", o.gpu_layers);
}

int add(const ModelOptions& o) {
  json::Writer w;
  w.begin_object().member("id", o.id).member("kind", o.kind);
  write_file_members(w, o);
  w.end_object();
  return perform(o, Method::Post, "/admin/models", w.take(), print_one);
}

// With a file: a new version. Without: the running roll-out moves to another share.
int replace(const ModelOptions& o) {
  json::Writer w;
  w.begin_object();
  if (!o.path.empty()) write_file_members(w, o);
  w.member("share", o.share).end_object();
  return perform(o, Method::Post, "/admin/models/" + o.id + (o.path.empty() ? "/share" : "/replace"),
                 w.take(), print_one);
}

int remove(const ModelOptions& o) {
  return perform(o, Method::Delete, "/admin/models/" + o.id, "", [&o](const std::string&) {
    std::printf("%s is unloaded; its running requests finish\n", o.id.c_str());
    return Result<void>();
  });
}

int list(const ModelOptions& o, bool as_json) {
  return perform(o, Method::Get, "/admin/models", "", [as_json](const std::string& body) {
    if (!as_json) return print_list(body);
    std::printf("%s\n", body.c_str());
    return Result<void>();
  });
}

CLI::App* add_verb(CLI::App* group, const char* name, const char* help, const Shared& options, Action& action,
                   std::function<int(const ModelOptions&)> run) {
  CLI::App* verb = group->add_subcommand(name, help);
  add_admin_options(verb, options->config, options->key_file);
  verb->callback([options, &action, run] { action = [options, run] { return run(*options); }; });
  return verb;
}

void add_id(CLI::App* verb, const Shared& options) {
  verb->add_option("id", options->id, "The model's id, as clients name it")->required();
}

CLI::Option* add_file_options(CLI::App* verb, const Shared& options) {
  CLI::Option* path = verb->add_option("--path", options->path, "GGUF file inside engine.model_dir");
  CLI::Option* sha256 =
      verb->add_option("--sha256", options->sha256, "Its SHA-256; checked now and at each load");
  CLI::Option* origin = verb->add_option("--origin", options->origin, "Where the file comes from");
  CLI::Option* licence =
      verb->add_option("--licence", options->licence, "Its licence, as an SPDX expression or name");
  for (CLI::Option* needed : {sha256, origin, licence}) path->needs(needed);
  verb->add_option("--context", options->context, "Tokens of one sequence")->check(CLI::Range(256, 1 << 20));
  verb->add_option("--slots", options->slots, "Sequences decoded side by side")->check(CLI::Range(1, 256));
  verb->add_option("--gpu-layers", options->gpu_layers, "Layers to offload to a GPU")
      ->check(CLI::Range(0, 1000));
  return path;
}

}  // namespace

void add_model(CLI::App& app, Action& action) {
  auto options = std::make_shared<ModelOptions>();
  CLI::App* group =
      app.add_subcommand("model", "List, load, replace, roll out and unload models while serving");
  group->require_subcommand(1);
  auto as_json = std::make_shared<bool>(false);
  CLI::App* listed =
      add_verb(group, "list", "Every model with version, state, hash, licence and origin", options, action,
               [as_json](const ModelOptions& o) { return list(o, *as_json); });
  listed->add_flag("--json", *as_json, "As the admin API says it");
  CLI::App* added = add_verb(group, "add", "Load a further model beside the others", options, action, add);
  add_id(added, options);
  added->add_option("--kind", options->kind, "chat, or rerank: one cross-encoder that orders documents")
      ->check(CLI::IsMember({"chat", "rerank"}));
  add_file_options(added, options)->required();
  CLI::App* replaced =
      add_verb(group, "replace", "Start a new version beside the old one and move users to it", options,
               action, replace);
  add_id(replaced, options);
  add_file_options(replaced, options);
  replaced->add_option("--share", options->share, "Share of the users that the new version serves")
      ->check(CLI::Range(0.0, 1.0));
  replaced->footer(
      "With --path the new version starts; --share 0.1 gives it a tenth of the users. Without --path\n"
      "--share moves the running roll-out: 1 completes it, 0 rolls it back.\n"
      "A new embedding model takes over by itself when all documents are indexed with it; 0 cancels.");
  CLI::App* removed =
      add_verb(group, "remove", "Unload a model that was loaded while serving", options, action, remove);
  add_id(removed, options);
}

}  // namespace bulkhead::apps
