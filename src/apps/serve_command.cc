// bulkhead serve.
#include <signal.h>

#include <cstdio>

#include "apps/commands.h"
#include "apps/deployment.h"
#include "apps/support.h"
#include "base/captured_output.h"
#include "base/log.h"
#include "base/memory_lock.h"

namespace bulkhead::apps {

using base::Result;

namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BULKHEAD_SANITIZED 1
#endif
#endif

// From here on nothing but our own log reaches standard error; what a sanitizer has to say must.
Result<std::unique_ptr<base::OutputCapture>> capture_output([[maybe_unused]] bool show) {
#ifdef BULKHEAD_SANITIZED
  return std::unique_ptr<base::OutputCapture>();
#else
  return base::OutputCapture::start(show);
#endif
}

int serve(const std::string& file) {
  auto config = gateway::load_config(file);
  if (!config) return fail(config.error());
  // Blocked before any thread starts, so that this thread alone takes them.
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  base::log::set_component("gateway");
  // Before any thread and any text. Children inherit the right to lock and lock themselves.
  switch (base::lock_process_memory()) {
    case base::MemoryLock::Locked: break;
    case base::MemoryLock::NoSwap:
      base::log::warning("memory_not_locked", {{"message", base::kNoSwapMessage}});
      break;
    case base::MemoryLock::MaySwap:
      if (!config->development) {
        std::fprintf(stderr, "bulkhead: %.*s\n", static_cast<int>(base::kMaySwapMessage.size()),
                     base::kMaySwapMessage.data());
        return 1;
      }
      base::log::warning("memory_may_be_swapped", {{"message", base::kMaySwapMessage}});
  }
  auto capture = capture_output(config->show_foreign_output);
  if (!capture) return fail(capture.error());
  auto deployment = Deployment::start(std::move(*config), file);
  if (!deployment) {
    capture->reset();
    return fail(deployment.error());
  }
  int signal = 0;
  while (sigwait(&signals, &signal) == 0 && signal == SIGHUP) (*deployment)->reload();
  (*deployment)->drain();
  return 0;
}

}  // namespace

void add_serve(CLI::App& app, Action& action) {
  auto config = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("serve", "Run the gateway, its engine worker and its extractor");
  command->add_option("--config", *config, "Configuration file")->required();
  command->footer("SIGTERM drains and stops. SIGHUP reloads certificate and issuers.");
  command->callback([config, &action] { action = [config] { return serve(*config); }; });
}

}  // namespace bulkhead::apps
