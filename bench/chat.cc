// bench_chat: clients that stream chat completions side by side for a while, each with prompts of its own
// (nothing a prefix cache could reuse), and what they saw: tokens per second, time to the first token,
// time between tokens. Lengths of prompts and answers vary about their means, or all clients would go in
// step, reading together and writing together, as no real ones do; the same seed gives any server the same
// work. With --turns each chat goes on: the whole conversation so far is the next turn's prompt, as chat
// clients send it, and the time to a later turn's first token is counted apart. When the time is over the
// clients hang up. Speaks to any OpenAI-compatible server, or starts an engine worker and asks it directly
// with signed requests, as the gateway does.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "engine/worker_process.h"
#include "http/client.h"
#include "http/reactor.h"
#include "http/sse.h"

namespace bulkhead::bench {
namespace {

namespace json = base::json;
using SteadyTime = std::chrono::steady_clock::time_point;
using Millis = std::chrono::duration<double, std::milli>;

struct Options {
  std::string url, authorization_file, model, worker, socket;
  std::vector<std::string> worker_arguments;
  int clients = 1, prompt_words = 64, max_tokens = 64, seed = 1, turns = 1;
  double seconds = 10, warm_up = 2;
  bool in_step = false;
};

struct Run {
  Options options;
  std::string authorization;
  std::unique_ptr<http::Client> client;
  engine::WorkerProcess* worker = nullptr;
  std::atomic<int> running{0};
  SteadyTime begin, end;  // what is counted
  base::CancelToken hang_up;
  // On the reactor's thread until all clients have ended.
  std::uint64_t tokens = 0, requests = 0, failures = 0, prompt_tokens = 0, answer_tokens = 0,
                answer_events = 0;
  std::vector<double> first_ms, later_first_ms, between_ms;
  std::string failure;
};

// Words that make a model go on for long; in no two prompts the same from the start on.
std::string prompt(std::mt19937& random, int words) {
  static constexpr const char* kWords[] = {"river",   "engine",  "winter",  "doctor",  "market",  "letter",
                                           "bridge",  "signal",  "garden",  "copper",  "island",  "teacher",
                                           "harbour", "mirror",  "candle",  "forest",  "railway", "kitchen",
                                           "planet",  "violin",  "captain", "ledger",  "orchard", "museum",
                                           "thunder", "village", "compass", "lantern", "meadow",  "tunnel"};
  std::string text = std::to_string(random()) + ": write a very long and detailed story with the words";
  for (int i = 0; i < words; ++i) text += std::string(" ") + kWords[random() % std::size(kWords)];
  return text;
}

using Chat = std::vector<std::string>;  // what was said: the user, the model, the user, ...

// Within half of the mean on both sides.
int vary(const Options& options, std::mt19937& random, int mean) {
  if (options.in_step) return mean;
  return std::max(1, mean / 2 + static_cast<int>(random() % static_cast<unsigned>(mean + 1)));
}

http::Request make_request(Run& run, const Chat& chat, int max_tokens) {
  json::Writer w;
  w.begin_object().member("model", run.options.model).key("messages").begin_array();
  for (std::size_t i = 0; i < chat.size(); ++i) {
    w.begin_object()
        .member("role", i % 2 == 0 ? "user" : "assistant")
        .member("content", chat[i])
        .end_object();
  }
  w.end_array();
  w.member("max_tokens", max_tokens).member("temperature", 0).member("stream", true);
  if (!run.worker) w.key("stream_options").begin_object().member("include_usage", true).end_object();
  w.end_object();
  http::Request request;
  request.method = http::Method::Post;
  request.idempotent = true;  // a server may close a kept connection just as it is used again
  request.path = request.target = "/v1/chat/completions";
  request.headers.set("content-type", "application/json");
  if (!run.authorization.empty()) request.headers.set("authorization", run.authorization);
  request.body = w.take();
  return request;
}

bool sign(Run& run, http::Request& request, int number) {
  if (!run.worker) return true;
  std::string name = "bench-" + std::to_string(number);
  request.headers.set("host", "engine");
  for (const char* header : {"x-bulkhead-tenant", "x-bulkhead-session", "x-bulkhead-request"}) {
    request.headers.set(header, name);
  }
  return run.worker->sign(request).ok();
}

// One event of the answer, timed by the caller. False at its end.
bool take_event(Run& run, const std::string& event, std::string& text) {
  if (event == "[DONE]") return false;
  auto document = json::Document::parse(event);
  if (!document) return true;
  json::Value root = document->root();
  if (auto piece = root["choices"].at(0)["delta"]["content"].as_string()) text = *piece;
  run.prompt_tokens += static_cast<std::uint64_t>(root["usage"]["prompt_tokens"].as_int().value_or(0));
  run.answer_tokens += static_cast<std::uint64_t>(root["usage"]["completion_tokens"].as_int().value_or(0));
  return true;
}

// Asks what the chat's last member says; the answer is put behind it.
base::Task<bool> one_turn(Run& run, Chat& chat, int number, int max_tokens) {
  http::Request request = make_request(run, chat, max_tokens);
  std::vector<double>& first_ms = chat.size() == 1 ? run.first_ms : run.later_first_ms;
  std::string& said = chat.emplace_back();
  if (!sign(run, request, number)) co_return false;
  SteadyTime asked = std::chrono::steady_clock::now();
  auto answer = co_await run.client->stream(std::move(request), run.hang_up);
  if (!answer) {
    run.failure = answer.error().describe();
    co_return false;
  }
  http::SseParser events;
  SteadyTime before{};
  while (true) {
    auto piece = co_await (*answer)->read();
    if (!piece || !*piece) break;
    if ((*answer)->status() != 200) {
      run.failure = **piece;
      co_return false;
    }
    if (!events.feed(**piece)) co_return false;
    while (auto event = events.next()) {
      std::string token;
      if (!take_event(run, *event, token)) co_return true;
      if (token.empty()) continue;
      said += token;
      SteadyTime now = std::chrono::steady_clock::now();
      bool first = before == SteadyTime{};
      ++run.answer_events;
      if (now >= run.begin && now < run.end) {
        ++run.tokens;
        if (!first) run.between_ms.push_back(Millis(now - before).count());
      }
      if (first && asked >= run.begin && now < run.end) first_ms.push_back(Millis(now - asked).count());
      before = now;
    }
  }
  co_return false;
}

base::Task<void> one_client(Run& run, int number) {
  std::mt19937 random(static_cast<unsigned>(run.options.seed * 1000 + number));
  while (std::chrono::steady_clock::now() < run.end && run.failures < 20) {
    Chat chat;
    for (int turn = 0; turn < run.options.turns && std::chrono::steady_clock::now() < run.end; ++turn) {
      chat.push_back(turn == 0 ? prompt(random, vary(run.options, random, run.options.prompt_words))
                               : "Go on, and say more of the second word.");
      bool good = co_await one_turn(run, chat, number, vary(run.options, random, run.options.max_tokens));
      if (!good && run.hang_up.cancelled()) break;
      ++(good ? run.requests : run.failures);
      if (!good) break;
    }
  }
  --run.running;
}

// Until the worker answers for its models.
bool wait_for_worker(http::Reactor& reactor, Run& run) {
  struct Asked {
    std::atomic<int> state{0};
  };
  for (int tries = 0; tries < 1200; ++tries) {
    auto asked = std::make_shared<Asked>();
    auto ask = [](Run* target, std::shared_ptr<Asked> out) -> base::Task<void> {
      http::Request request;
      request.path = request.target = "/v1/models";
      bool signed_well = sign(*target, request, 0);
      auto answer = co_await target->client->request(std::move(request), 1u << 20, base::CancelToken());
      out->state = signed_well && answer && answer->status == 200 ? 1 : 2;
    };
    base::spawn(reactor, ask(&run, asked));
    while (asked->state == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    if (asked->state == 1) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return false;
}

void print(Run& run) {
  auto at = [](std::vector<double>& values, double share) {
    if (values.empty()) return 0.0;
    std::sort(values.begin(), values.end());
    return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
  };
  // An event may carry more than one token (whole characters only); the usage of ended answers says how many.
  double tokens_an_event = 1;
  if (run.requests > 0 && run.failures == 0 && run.answer_events > 0) {
    tokens_an_event = static_cast<double>(run.answer_tokens) / static_cast<double>(run.answer_events);
  }
  double seconds = std::chrono::duration<double>(run.end - run.begin).count();
  json::Writer w;
  w.begin_object()
      .member("tokens_per_second", static_cast<double>(run.tokens) * tokens_an_event / seconds)
      .member("first_p50_ms", at(run.first_ms, .5))
      .member("first_p99_ms", at(run.first_ms, .99))
      .member("later_first_p50_ms", at(run.later_first_ms, .5))
      .member("later_first_p99_ms", at(run.later_first_ms, .99))
      .member("between_p50_ms", at(run.between_ms, .5))
      .member("between_p99_ms", at(run.between_ms, .99))
      .member("requests", run.requests)
      .member("failures", run.failures)
      .member("prompt_tokens", run.prompt_tokens)
      .member("answer_tokens", run.answer_tokens)
      .member("failure", run.failure)
      .end_object();
  std::printf("%s\n", w.take().c_str());
}

int main_with(Options options) {
  Run run;
  run.options = options;
  if (!options.authorization_file.empty()) {
    auto text = base::read_file(options.authorization_file, 64 << 10);
    if (!text) return 2;
    run.authorization = "Bearer " + text->substr(0, text->find('\n'));
  }
  std::unique_ptr<engine::WorkerProcess> worker;
  if (!options.worker.empty()) {
    engine::WorkerOptions worker_options;
    worker_options.executable = options.worker;
    worker_options.socket = options.socket;
    worker_options.arguments = options.worker_arguments;
    auto started = engine::WorkerProcess::start(worker_options, base::Clock::system());
    if (!started) return 2;
    worker = std::move(*started);
    run.worker = worker.get();
    run.options.url = "unix:" + options.socket;
  }
  auto url = http::Url::parse(run.options.url);
  if (!url) return 2;
  http::ReactorPool reactors(1);
  run.client = std::make_unique<http::Client>(*url, http::ClientOptions{.idle_connections_max = 256});
  if (run.worker && !wait_for_worker(reactors.at(0), run)) return 2;

  run.begin = std::chrono::steady_clock::now() +
              std::chrono::microseconds(static_cast<std::int64_t>(options.warm_up * 1e6));
  run.end = run.begin + std::chrono::microseconds(static_cast<std::int64_t>(options.seconds * 1e6));
  run.running = options.clients;
  for (int i = 0; i < options.clients; ++i) base::spawn(reactors.at(0), one_client(run, i));
  while (run.running > 0) {
    if (std::chrono::steady_clock::now() >= run.end) run.hang_up.cancel(base::CancelReason::Abandoned);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  print(run);
  run.client.reset();
  reactors.stop_and_join();
  return run.failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace bulkhead::bench

int main(int argc, char** argv) {
  bulkhead::bench::Options options;
  CLI::App app{"Streams chat completions with many clients and prints what they saw, as JSON."};
  app.add_option("--url", options.url, "http://127.0.0.1:PORT");
  app.add_option("--worker", options.worker, "Start this engine worker instead and talk to it directly");
  app.add_option("--socket", options.socket, "The worker's socket, in a private folder");
  app.add_option("--authorization-file", options.authorization_file, "A bearer token");
  app.add_option("--model", options.model, "Model name")->required();
  app.add_option("--clients", options.clients, "Side by side");
  app.add_option("--prompt-words", options.prompt_words, "Words of a prompt, in the mean");
  app.add_option("--max-tokens", options.max_tokens, "Of an answer, in the mean");
  app.add_flag("--in-step", options.in_step, "Every prompt and answer as long as the mean");
  app.add_option("--turns", options.turns, "Of a chat");
  app.add_option("--seconds", options.seconds, "Counted, after --warm-up");
  app.add_option("--warm-up", options.warm_up, "Seconds not counted");
  app.add_option("--seed", options.seed, "Of the prompts");
  app.add_option("worker_arguments", options.worker_arguments, "After --: what the worker is started with");
  CLI11_PARSE(app, argc, argv);
  return bulkhead::bench::main_with(std::move(options));
}
