// The real test model, requests to a scheduler, and what comes back.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "inference/model.h"
#include "inference/scheduler.h"

namespace bulkhead::inference::test {

inline std::filesystem::path model_path() {
  return std::filesystem::path(BULKHEAD_SOURCE_DIR) / "build/models/chat-test.gguf";
}

inline base::Result<std::unique_ptr<Model>> load(const ModelFile& file, ModelKind kind) {
  BULKHEAD_TRY(open, OpenModelFile::open(file));
  return Model::load(std::move(open), kind, 0);
}

// Loaded once for all tests; with the template of tools.jinja, which takes tools.
inline const Model& model() {
  static std::unique_ptr<Model> loaded = [] {
    llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
    llama_backend_init();
    ModelFile file{"test", model_path(), "",
                   std::filesystem::path(BULKHEAD_SOURCE_DIR) / "tests/unit/inference/tools.jinja"};
    auto made = load(file, ModelKind::Chat);
    if (!made) throw std::runtime_error(made.error().describe());
    return std::move(*made);
  }();
  return *loaded;
}

inline std::unique_ptr<Scheduler> scheduler(SchedulerOptions options = {}) {
  options.threads = options.batch_threads = 1;  // two that wait for each other crawl on a busy machine
  auto made = Scheduler::start(model(), options);
  if (!made) throw std::runtime_error(made.error().describe());
  return std::move(*made);
}

inline RequestContext who(std::string tenant, std::string session = "s",
                          PrefixScope prefix = PrefixScope::Off) {
  RequestContext context;
  context.tenant = std::move(tenant);
  context.session = std::move(session);
  context.request_id = "r";
  context.prefix = prefix;
  return context;
}

inline std::shared_ptr<Generation> ask(RequestContext context, const std::string& text,
                                       std::int64_t max_tokens = 8) {
  auto generation = std::make_shared<Generation>();
  generation->request.context = std::move(context);
  auto prompt = model().tokenize_chat({{"user", text, {}, ""}});
  if (!prompt) throw std::runtime_error(prompt.error().describe());
  generation->request.prompt = std::move(*prompt);
  generation->request.max_tokens = max_tokens;
  generation->request.sampling.temperature = 0;
  return generation;
}

struct Answered {
  std::vector<std::string> texts;
  std::vector<std::string> reasons;
  std::vector<TokenLogprob> logprobs;  // of the first choice
  GenerationResult result;
  std::string error;
};

inline base::Task<void> collect(std::shared_ptr<GenerationChannel> channel, Answered& out) {
  while (true) {
    GenerationChannel::Item item = co_await channel->next();
    if (item.error) {
      out.error = item.error->name().code;
      co_return;
    }
    if (out.texts.size() <= item.choice) {
      out.texts.resize(item.choice + 1);
      out.reasons.resize(item.choice + 1);
    }
    out.texts[item.choice] += item.text;
    if (!item.finish_reason.empty()) out.reasons[item.choice] = item.finish_reason;
    if (item.choice == 0) out.logprobs.insert(out.logprobs.end(), item.logprobs.begin(), item.logprobs.end());
    if (item.result) {
      out.result = *item.result;
      co_return;
    }
  }
}

// What came of it; blocks.
inline Answered wait_for(const std::shared_ptr<GenerationChannel>& channel) {
  Answered out;
  base::run_blocking(collect(channel, out));
  return out;
}

inline Answered run(Scheduler& scheduler, std::shared_ptr<Generation> generation) {
  std::shared_ptr<GenerationChannel> channel = generation->channel;
  auto submitted = scheduler.submit(std::move(generation));
  if (!submitted) {
    Answered out;
    out.error = submitted.error().name().code;
    return out;
  }
  return wait_for(channel);
}

// Text of about `words` words that differs by `seed`.
inline std::string words(std::size_t count, unsigned seed) {
  static const char* kWords[] = {"harbour", "winter", "ledger", "copper",
                                 "window",  "river",  "engine", "paper"};
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    seed = seed * 1'103'515'245u + 12'345u;
    text += std::string(text.empty() ? "" : " ") + kWords[(seed >> 16) % 8];
  }
  return text;
}

}  // namespace bulkhead::inference::test
