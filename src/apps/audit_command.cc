// bulkhead audit, bulkhead receipt, bulkhead certificate.
#include <cstdio>

#include "apps/commands.h"
#include "apps/offline.h"
#include "apps/support.h"
#include "audit/verify.h"
#include "base/file.h"
#include "base/json.h"
#include "gateway/receipts.h"
#include "tenancy/directory.h"

namespace bulkhead::apps {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kDocumentBytesMax = 1 << 20;
constexpr std::size_t kFindingsShown = 20;

struct AuditOptions {
  std::string dir, key, config, key_file, event, request_id, decision, since, until, file, reason;
  std::vector<std::string> anchors;
  std::size_t limit = 50;
};
using Shared = std::shared_ptr<AuditOptions>;

int verify(const AuditOptions& options) {
  std::filesystem::path key_file = options.key.empty() ? std::filesystem::path(options.dir) / "audit-key.pub"
                                                       : std::filesystem::path(options.key);
  auto key = read_verify_key(key_file);
  if (!key) return fail(key.error());
  if (options.key.empty()) {
    std::printf(
        "note: using the key that lies beside the log; whoever could change the log could change it too.\n"
        "      Keep audit-key.pub elsewhere and name it with --key.\n");
  }
  std::vector<std::string> anchors;
  for (const std::string& file : options.anchors) {
    auto text = base::read_file(file, kDocumentBytesMax);
    if (!text) return fail(text.error());
    anchors.push_back(std::move(*text));
  }
  auto report = audit::verify(options.dir, *key, anchors);
  if (!report) return fail(report.error());
  std::printf("records      %llu (lines %llu to %llu), %llu signed checkpoints\nhead         %s\n",
              static_cast<unsigned long long>(report->records),
              static_cast<unsigned long long>(report->first_seq),
              static_cast<unsigned long long>(report->last_seq),
              static_cast<unsigned long long>(report->checkpoints), base::hex_encode(report->head).c_str());
  for (std::size_t i = 0; i < std::min(kFindingsShown, report->unknown_outcomes.size()); ++i) {
    const audit::UnknownOutcome& each = report->unknown_outcomes[i];
    std::printf(
        "unknown      record %llu: %s was begun%s%s%s%s, request %s; what came of it is not recorded\n",
        static_cast<unsigned long long>(each.seq), each.intended.c_str(),
        each.tenant.empty() ? "" : ", tenant ", each.tenant.c_str(), each.target.empty() ? "" : ", target ",
        each.target.c_str(), each.request_id.c_str());
  }
  if (report->unknown_outcomes.size() > kFindingsShown) {
    std::printf("unknown      %zu outcomes in all\n", report->unknown_outcomes.size());
  }
  if (report->ok) {
    std::printf("result       intact\n");
    return 0;
  }
  std::printf("result       DAMAGED; the first finding is where it begins\n");
  for (std::size_t i = 0; i < std::min(kFindingsShown, report->findings.size()); ++i) {
    const audit::Finding& finding = report->findings[i];
    std::printf("  %s:%llu (record %llu): %s\n", finding.file.c_str(),
                static_cast<unsigned long long>(finding.line), static_cast<unsigned long long>(finding.seq),
                finding.what.c_str());
  }
  return 1;
}

std::string query_path(const AuditOptions& options, bool as_operator, std::size_t limit,
                       const std::string& after) {
  std::string path = as_operator ? "/admin/audit" : "/v1/bulkhead/audit";
  path += "?limit=" + std::to_string(limit);
  auto add = [&path](const char* name, const std::string& value) {
    if (value.empty()) return;
    path += std::string("&") + name + "=";
    for (unsigned char c : value) {
      if (std::isalnum(c) || c == '-' || c == '_' || c == '.') {
        path += static_cast<char>(c);
      } else {
        path += "%" + base::hex_encode(base::ByteView(&c, 1));
      }
    }
  };
  add("event", options.event);
  add("request_id", options.request_id);
  add("decision", options.decision);
  add("since", options.since);
  add("until", options.until);
  add("after", after);
  return path;
}

int query(const AuditOptions& options) {
  auto config = gateway::load_config(options.config);
  if (!config) return fail(config.error());
  auto client = AdminClient::open(*config, options.key_file);
  if (!client) return fail(client.error());
  // An operator's key reads the platform's log, a tenant's key its own: the gateway decides.
  bool as_operator = false;
  auto answer = client->call(http::Method::Get, query_path(options, false, options.limit, ""), "");
  if (!answer) {
    as_operator = true;
    answer = client->call(http::Method::Get, query_path(options, true, options.limit, ""), "");
  }
  // The gateway reads only so much of a large log for one answer.
  for (std::size_t wanted = options.limit;;) {
    if (!answer) return fail(answer.error());
    auto document = json::Document::parse(*answer);
    if (!document) return fail(document.error());
    json::Value data = document->root()["data"];
    for (std::size_t i = 0; i < data.size(); ++i) {
      json::Writer line;
      line.copy(data.at(i));
      std::printf("%s\n", line.text().c_str());
    }
    const auto after = document->root()["next_after"].as_int();
    wanted -= std::min<std::size_t>(wanted, data.size());
    if (!after || wanted == 0) return 0;
    answer =
        client->call(http::Method::Get, query_path(options, as_operator, wanted, std::to_string(*after)), "");
  }
}

int verify_document(const AuditOptions& options,
                    Result<void> (*check)(std::string_view, const crypto::VerifyKey&)) {
  auto key = read_verify_key(options.key);
  if (!key) return fail(key.error());
  auto text = base::read_file(options.file, kDocumentBytesMax);
  if (!text) return fail(text.error());
  auto checked = check(*text, *key);
  if (!checked) return fail(checked.error());
  std::printf("valid: signed by key %s, unaltered\n", key->id().c_str());
  return 0;
}

// The way out of RolledBack. The log itself says that what the kept head states was given up, and why.
Result<void> accept(const AuditOptions& options) {
  BULKHEAD_TRY(platform, OfflinePlatform::open(options.config, true));
  audit::Record record;
  record.event = audit::Event::AuditHeadAccepted;
  record.statement = options.reason;
  if (auto head = json::Document::parse(platform.kept_head())) {
    record.target = std::to_string(head->root()["seq"].as_int().value_or(0)) + " " +
                    std::string(head->root()["hash"].as_string().value_or(""));
  }
  BULKHEAD_CHECK_OK(platform.record(std::move(record)));
  BULKHEAD_CHECK_OK(platform.close());
  std::printf("accepted: the gateway starts from this log, and the log says so\n");
  return Result<void>();
}

void add_document(CLI::App& app, Action& action, const char* name, const char* what,
                  Result<void> (*check)(std::string_view, const crypto::VerifyKey&)) {
  auto options = std::make_shared<AuditOptions>();
  CLI::App* group = app.add_subcommand(name, what);
  group->require_subcommand(1);
  CLI::App* command = group->add_subcommand("verify", "Check its signature, offline");
  command->add_option("file", options->file, "The JSON document")->required();
  command->add_option("--key", options->key, "The deployment's verify key (audit-key.pub)")->required();
  command->callback(
      [options, check, &action] { action = [options, check] { return verify_document(*options, check); }; });
}

}  // namespace

void add_audit(CLI::App& app, Action& action) {
  auto options = std::make_shared<AuditOptions>();
  CLI::App* group = app.add_subcommand("audit", "The tamper-evident audit log");
  group->require_subcommand(1);
  CLI::App* check = group->add_subcommand("verify", "Find any edit, cut, reorder or rollback; offline");
  check->add_option("--dir", options->dir, "The audit folder")->required();
  check->add_option("--key", options->key, "The verify key, kept apart from the log");
  check->add_option("--anchor", options->anchors,
                    "A checkpoint kept elsewhere (witness copy); may be repeated");
  check->callback([options, &action] { action = [options] { return verify(*options); }; });
  CLI::App* given_up = group->add_subcommand(
      "accept",
      "Start from a log that lacks what its kept heads state; gateway stopped, after looking into it");
  given_up->add_option("--config", options->config, "Configuration file")->required();
  given_up->add_option("--reason", options->reason, "Why; it is written into the log")
      ->required()
      ->check(CLI::Validator(
          [](std::string& text) { return text.empty() || text.size() > 256 ? "1 to 256 bytes" : ""; },
          "1 to 256 bytes"));
  given_up->callback([options, &action] {
    action = [options] {
      auto done = accept(*options);
      return done ? 0 : fail(done.error());
    };
  });
  CLI::App* read = group->add_subcommand("query", "Read records, as far as the key's role allows");
  read->add_option("--config", options->config, "Configuration file")->required();
  read->add_option("--key-file", options->key_file, "File with an API key (mode 0600); or BULKHEAD_API_KEY");
  read->add_option("--event", options->event, "Only this kind of event");
  read->add_option("--request-id", options->request_id, "Only this request");
  read->add_option("--decision", options->decision, "allow or deny");
  read->add_option("--since", options->since, "From this UTC time on (RFC 3339)");
  read->add_option("--until", options->until, "Before this UTC time");
  read->add_option("--limit", options->limit, "At most this many (1 to 1000)")->check(CLI::Range(1, 1000));
  read->callback([options, &action] { action = [options] { return query(*options); }; });
}

void add_receipt(CLI::App& app, Action& action) {
  add_document(app, action, "receipt", "Burn receipts", &gateway::verify_receipt);
  add_document(app, action, "certificate", "Certificates of destruction", &tenancy::verify_certificate);
}

}  // namespace bulkhead::apps
