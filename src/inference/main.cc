// bulkhead-engine: the inference worker. Started by `bulkhead serve`; docs/engine-protocol.md.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory_lock.h"
#include "base/scrub.h"
#include "base/secret.h"
#include "http/server.h"
#include "inference/encoder.h"
#include "inference/model.h"
#include "inference/preparation.h"
#include "inference/pulse.h"
#include "inference/routes.h"
#include "inference/sandbox.h"
#include "inference/scheduler.h"

namespace bulkhead::inference {
namespace {

constexpr std::size_t kBodyBytesMax = 64u << 20;
constexpr std::size_t kKeyHexBytes = 64;

struct Options {
  int listen_fd = -1, control_fd = -1, pulse_fd = -1;
  std::string chat, chat_sha256, chat_template, embedding, embedding_sha256, rerank, rerank_sha256;
  SchedulerOptions scheduler;
  int threads = 0, batch_threads = 0, gpu_layers = 0;
  bool no_burn = false, no_lookahead = false, allow_swap = false;
};

[[noreturn]] void die(const base::Error& error) {
  base::log::error("engine_start_failed", {{"message", std::string_view(error.message())},
                                           {"detail", std::string_view(error.detail())}});
  std::exit(1);
}

// The signing key: 64 hex digits and a newline through the control pipe.
base::Secret read_key(int fd) {
  char text[kKeyHexBytes];
  std::size_t have = 0;
  while (have < sizeof text) {
    ssize_t got = ::read(fd, text + have, sizeof text - have);
    if (got <= 0) break;
    have += static_cast<std::size_t>(got);
  }
  ::close(fd);
  auto bytes = base::hex_decode(std::string_view(text, have));
  base::wipe(text, sizeof text);
  if (!bytes || bytes->size() != kKeyHexBytes / 2) {
    die(base::Error(InferenceError::Failed,
                    "No signing key came through --control-fd. The engine worker is "
                    "started by `bulkhead serve`."));
  }
  base::Secret key = base::Secret::copy_of(*bytes);
  base::wipe(*bytes);
  return key;
}

ModelFile model_file(const std::string& text, const std::string& sha256, const std::string& chat_template) {
  std::size_t equals = text.find('=');
  if (equals == std::string::npos) {
    die(base::Error(InferenceError::BadRequest, "A model is given as ID=PATH, not \"" + text + "\"."));
  }
  return {text.substr(0, equals), text.substr(equals + 1), sha256, chat_template};
}

void quiet_log(ggml_log_level level, const char* text, void*) {
  if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
}

template <typename T>
T or_die(base::Result<T> result) {
  if (!result) die(result.error());
  return std::move(*result);
}

struct OpenFiles {
  std::optional<OpenModelFile> chat, embedding, rerank;
};

OpenFiles open_files(const Options& options) {
  OpenFiles out;
  auto open = [](std::optional<OpenModelFile>& file, const std::string& model, const std::string& sha256,
                 const std::string& chat_template) {
    if (!model.empty()) file = or_die(OpenModelFile::open(model_file(model, sha256, chat_template)));
  };
  open(out.chat, options.chat, options.chat_sha256, options.chat_template);
  open(out.embedding, options.embedding, options.embedding_sha256, "");
  open(out.rerank, options.rerank, options.rerank_sha256, "");
  return out;
}

void wait_for_signal(const sigset_t& signals) {
  int signal = 0;
  while (sigwait(&signals, &signal) != 0) {
  }
}

int serve(Options options) {
  const base::Clock& clock = base::Clock::system();
  http::MessageVerifier verifier(read_key(options.control_fd), "gateway", clock);
  llama_log_set(quiet_log, nullptr);
  llama_backend_init();

  int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  options.scheduler.threads = options.threads > 0 ? options.threads : cores;
  options.scheduler.batch_threads = options.batch_threads > 0 ? options.batch_threads : cores;
  options.scheduler.burn = !options.no_burn;
  options.scheduler.lookahead = !options.no_lookahead;

  // Shared memory is mapped before the sandbox closes.
  Pulse pulse(options.pulse_fd < 0 ? nullptr : or_die(base::PulseMemory::open(options.pulse_fd)));
  // A model file is parsed inside the sandbox, as whatever clients send is.
  OpenFiles files = open_files(options);
  if (auto sandboxed = enter_sandbox(); !sandboxed) die(sandboxed.error());
  base::log::info("sandboxed", {});

  // Before the first thread, so that all of them leave the signals to the main thread.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  // A worker that can't clear its memory ends, as if it were told to, and the gateway starts another.
  std::atomic<bool> clean{true};
  auto unclean = [&clean, main = pthread_self()] {
    clean = false;
    pthread_kill(main, SIGTERM);
  };
  options.scheduler.unclean = unclean;

  options.scheduler.pulse = pulse.loop(WorkerLoop::Scheduler);
  Preparation::Options preparing{.line_max = options.scheduler.line_max};
  for (std::size_t i = 0; i < std::min(preparing.threads, kPreparationLoopsMax); ++i) {
    preparing.pulses.push_back(pulse.loop(WorkerLoop::Preparation, i));
  }
  Preparation preparation(preparing);
  Engine engine;
  engine.preparation = &preparation;
  std::unique_ptr<Model> chat, embedding, rerank;
  std::unique_ptr<Scheduler> scheduler;
  std::unique_ptr<Encoder> embedder, reranker;
  if (files.chat) {
    chat = or_die(Model::load(std::move(*files.chat), ModelKind::Chat, options.gpu_layers));
    scheduler = or_die(Scheduler::start(*chat, options.scheduler));
    engine.chat = chat.get();
    engine.scheduler = scheduler.get();
  }
  if (files.embedding) {
    embedding = or_die(Model::load(std::move(*files.embedding), ModelKind::Embedding, options.gpu_layers));
    embedder =
        or_die(Encoder::start(*embedding, EncoderUse::Embedding, options.scheduler.batch_threads,
                              !options.no_burn, unclean, Eraser::real(), pulse.loop(WorkerLoop::Embedder)));
    engine.embedding = embedding.get();
    engine.embedder = embedder.get();
  }
  if (files.rerank) {
    rerank = or_die(Model::load(std::move(*files.rerank), ModelKind::Rerank, options.gpu_layers));
    reranker =
        or_die(Encoder::start(*rerank, EncoderUse::Ranking, options.scheduler.batch_threads, !options.no_burn,
                              unclean, Eraser::real(), pulse.loop(WorkerLoop::Reranker)));
    engine.rerank = rerank.get();
    engine.reranker = reranker.get();
  }

  Routes routes(engine, verifier, clock);
  http::ReactorPool reactors(1);
  http::Server::Options server;
  server.address.inherited_fd = options.listen_fd;
  server.limits.parser.body_bytes_max = kBodyBytesMax;
  server.limits.idle_time_max = std::chrono::hours(1);
  server.handler = [&routes](http::Exchange& exchange) { return routes.handle(exchange); };
  auto started = http::Server::start(reactors, std::move(server));
  if (!started) die(started.error());
  pulse.start(reactors.at(0));
  // From here on llama.cpp's errors may quote what a client sent (a grammar, a schema).
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  base::log::info("ready", {{"chat", std::string_view(chat ? chat->id() : "")},
                            {"embedding", std::string_view(embedding ? embedding->id() : "")},
                            {"rerank", std::string_view(rerank ? rerank->id() : "")}});
  wait_for_signal(signals);
  routes.stop_accepting();
  // Cancels and burns what runs, which ends its requests. Requests that are still on their way meet a
  // scheduler and encoders that refuse, so both are there until the server is gone.
  pulse.stop();
  preparation.stop();
  if (scheduler) scheduler->stop();
  static_cast<void>((*started)->drain(std::chrono::seconds(2)));
  started->reset();
  return clean ? 0 : 1;
}

}  // namespace
}  // namespace bulkhead::inference

int main(int argc, char** argv) {
  using namespace bulkhead;
  inference::tie_to_parent();
  base::log::set_component("engine");
  inference::Options options;
  CLI::App app{
      "bulkhead-engine: the inference worker. It is started by `bulkhead serve`, which hands it a "
      "listening socket and a signing key; there is nothing to run by hand."};
  app.add_option("--listen-fd", options.listen_fd, "Descriptor of the listening Unix socket")->required();
  app.add_option("--control-fd", options.control_fd, "Descriptor of the pipe that carries the signing key")
      ->required();
  app.add_option("--pulse-fd", options.pulse_fd,
                 "Descriptor of the page on which the worker says that it goes on");
  app.add_option("--chat-model", options.chat, "ID=PATH of the chat model (GGUF)");
  app.add_option("--chat-model-sha256", options.chat_sha256, "Its SHA-256; checked when given");
  app.add_option("--chat-template", options.chat_template,
                 "File with a Jinja chat template in place of the model's own");
  app.add_option("--embed-model", options.embedding, "ID=PATH of the embedding model (GGUF)");
  app.add_option("--embed-model-sha256", options.embedding_sha256, "Its SHA-256; checked when given");
  app.add_option("--rerank-model", options.rerank, "ID=PATH of the rerank model (GGUF)");
  app.add_option("--rerank-model-sha256", options.rerank_sha256, "Its SHA-256; checked when given");
  app.add_option("--context", options.scheduler.context, "Tokens of one sequence")
      ->check(CLI::Range(64, 1 << 20));
  app.add_option("--slots", options.scheduler.slots, "Sequences decoded side by side")
      ->check(CLI::Range(1, 256));
  app.add_option("--threads", options.threads, "Threads for generation; 0: one a core");
  app.add_option("--batch-threads", options.batch_threads, "Threads for prompts; 0: one a core");
  app.add_option("--gpu-layers", options.gpu_layers, "Layers to offload to a GPU");
  app.add_option("--prefix-partitions", options.scheduler.prefix.partitions,
                 "Tenants that may keep prefixes at once")
      ->check(CLI::Range(0, 100'000));
  app.add_option("--prefix-partition-bytes", options.scheduler.prefix.partition_bytes,
                 "Bytes of kept prefixes of one tenant");
  app.add_option("--line-max", options.scheduler.line_max, "Waiting requests of one tenant")
      ->check(CLI::Range(1, 100'000));
  app.add_flag("--no-lookahead", options.no_lookahead,
               "Guess no tokens of an answer from its own request's text");
  app.add_flag("--no-burn", options.no_burn, "Control experiment: erase nothing (development only)");
  app.add_flag("--allow-swap", options.allow_swap, "Serve though memory may be swapped (development only)");
  CLI11_PARSE(app, argc, argv);
  if (options.no_burn) base::set_heap_scrubbing(false);
  if (base::lock_process_memory() == base::MemoryLock::MaySwap && !options.allow_swap) {
    inference::die(base::Error(inference::InferenceError::Failed, std::string(base::kMaySwapMessage)));
  }
  return inference::serve(std::move(options));
}
