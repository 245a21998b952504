// bulkhead issuer explain: why an identity provider's tokens are taken or not.
#include <unistd.h>

#include <cstdio>
#include <future>

#include "apps/commands.h"
#include "apps/support.h"
#include "base/file.h"
#include "gateway/config.h"
#include "http/reactor.h"
#include "identity/explain.h"

namespace bulkhead::apps {

using base::Error;
using base::Result;
using identity::Finding;
using identity::Findings;

namespace {

constexpr std::size_t kTokenFileBytesMax = 64 << 10;
constexpr std::string_view kStandardInput = "-";

// From a file or standard input, never from the command line, which others on the machine can read.
Result<std::string> read_token(const std::string& file) {
  std::string text;
  if (file == kStandardInput) {
    char piece[4096];
    while (text.size() <= kTokenFileBytesMax) {
      const ssize_t got = ::read(STDIN_FILENO, piece, sizeof piece);
      if (got <= 0) break;
      text.append(piece, static_cast<std::size_t>(got));
    }
  } else {
    BULKHEAD_TRY(content, base::read_file(file, kTokenFileBytesMax));
    text = std::move(content);
  }
  constexpr std::string_view kScheme = "Bearer ";
  if (text.starts_with(kScheme)) text.erase(0, kScheme.size());
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  return text;
}

base::Task<void> deliver(base::Task<Findings> task, std::promise<Findings>* out) {
  out->set_value(co_await std::move(task));
}

Findings wait_for(http::ReactorPool& reactors, base::Task<Findings> task) {
  std::promise<Findings> promise;
  auto findings = promise.get_future();
  base::spawn(reactors.at(0), deliver(std::move(task), &promise));
  return findings.get();
}

bool print(const Findings& findings) {
  for (const Finding& each : findings) {
    const char* mark = each.outcome == Finding::Outcome::Fine    ? "ok    "
                       : each.outcome == Finding::Outcome::Wrong ? "WRONG "
                                                                 : "      ";
    std::printf("%s%-18s %s\n", mark, each.subject.c_str(), each.text.c_str());
  }
  return identity::all_fine(findings);
}

struct ExplainOptions {
  std::string config, token, issuer;
};

// Nothing wrong: true.
Result<bool> explain(const ExplainOptions& options) {
  BULKHEAD_TRY(config, gateway::load_config(options.config));
  http::ReactorPool reactors(1);
  const auto work = std::make_shared<identity::KeyWork>();
  bool fine = true, any = false;
  if (!options.token.empty()) {
    BULKHEAD_TRY(token, read_token(options.token));
    fine = print(wait_for(
        reactors, identity::explain_token(std::move(token), config.issuers, base::Clock::system(), work)));
    any = true;
  } else {
    for (const identity::IssuerConfig& issuer : config.issuers) {
      if (!options.issuer.empty() && options.issuer != issuer.issuer) continue;
      if (any) std::printf("\n");
      any = true;
      fine = print(wait_for(reactors, identity::explain_issuer(issuer, work))) && fine;
    }
  }
  work->stop();
  if (!any) {
    return Error(gateway::ConfigError::Missing,
                 options.issuer.empty()
                     ? options.config + " has no [[issuer]]: API keys alone are taken."
                     : options.config + " has no [[issuer]] whose issuer is " + options.issuer + ".");
  }
  return fine;
}

}  // namespace

void add_issuer(CLI::App& app, Action& action) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App* group = app.add_subcommand("issuer", "Identity providers");
  group->require_subcommand(1);
  CLI::App* command =
      group->add_subcommand("explain", "Say step by step why an issuer or a token of it is taken or refused");
  command->add_option("--config", options->config, "Configuration file")->required();
  command->add_option("--token", options->token, "File with a token; - reads standard input");
  command->add_option("--issuer", options->issuer, "This issuer alone, without a token")->excludes("--token");
  command->callback([options, &action] {
    action = [options] {
      auto fine = explain(*options);
      if (!fine) return fail(fine.error());
      return *fine ? 0 : 1;
    };
  });
}

}  // namespace bulkhead::apps
