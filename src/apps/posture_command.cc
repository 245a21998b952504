// bulkhead posture: which walls stand, as seen by the running gateway just now.
#include <cstdio>

#include "apps/commands.h"
#include "apps/posture_page.h"
#include "apps/support.h"
#include "base/file.h"
#include "gateway/api_error.h"

namespace bulkhead::apps {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

struct PostureOptions {
  std::string config, key_file, tenant, file;
  bool as_json = false, as_html = false;
};

// Names and checks are of many tenants.
constexpr json::Limits kReportLimits{.bytes_max = 64u << 20, .depth_max = 16, .nodes_max = 8'000'000};

Result<bool> report(const PostureOptions& options) {
  if (!options.tenant.empty() && !base::TenantId::parse(options.tenant)) {
    return Error(gateway::ApiError::BadParameter,
                 "A tenant's name is 1 to 63 lower-case letters, digits and hyphens.");
  }
  BULKHEAD_TRY(config, gateway::load_config(options.config));
  BULKHEAD_TRY(client, AdminClient::open(config, options.key_file));
  const std::string path =
      options.tenant.empty() ? "/admin/posture" : "/admin/tenants/" + options.tenant + "/posture";
  BULKHEAD_TRY(body, client.call(http::Method::Get, path, ""));
  BULKHEAD_TRY(document, json::Document::parse(body, kReportLimits));
  const json::Value root = document.root();
  const std::string text = options.as_html   ? posture_html(root)
                           : options.as_json ? body + "\n"
                                             : posture_table(root);
  if (options.file.empty()) {
    std::fwrite(text.data(), 1, text.size(), stdout);
  } else {
    BULKHEAD_CHECK_OK(base::write_file_atomically(options.file, text));
  }
  return root["broken"].as_int() == 0;
}

int run(const PostureOptions& options) {
  auto stands = report(options);
  if (!stands) return fail(stands.error());
  if (*stands) return 0;
  std::fprintf(stderr, "bulkhead: not all walls stand; the report says which, and what to do.\n");
  return 1;
}

}  // namespace

void add_posture(CLI::App& app, Action& action) {
  auto options = std::make_shared<PostureOptions>();
  CLI::App* command = app.add_subcommand(
      "posture", "Try each wall around each tenant now: which stand, how it was checked, what they cost");
  add_admin_options(command, options->config, options->key_file);
  command->add_option("tenant", options->tenant, "This tenant alone");
  auto* as_json = command->add_flag("--json", options->as_json, "As JSON");
  command->add_flag("--html", options->as_html, "As one HTML page")->excludes(as_json);
  command->add_option("--file", options->file, "Write it there (mode 0600) instead of standard output");
  command->footer("Exit status 1 when a wall does not stand. No content is read.");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace bulkhead::apps
