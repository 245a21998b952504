// The adapters against real HTTP servers that speak each engine's documented wire behaviour.
#include "engine/external_engine.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "engine/read_stream.h"
#include "http/support.h"
#include "tenancy/support.h"

namespace bulkhead::engine {
namespace {

namespace json = base::json;
using base::Result;
using base::Task;
using http::Exchange;
using http::Response;

// One upstream: notes every request, answers generations, and can be told to fail.
class Upstream {
 public:
  explicit Upstream(http::ReactorPool& reactors, std::uint16_t port = 0) : reactors_(reactors) { up(port); }
  ~Upstream() { down(); }
  void up(std::uint16_t port = 0) {
    http::Server::Options options;
    options.address.port = port;
    options.handler = [this](Exchange& exchange) { return handle(*this, exchange); };
    server_ = http::testing::start_server(reactors_, std::move(options));
    port_ = server_->port();
  }
  void down() { server_.reset(); }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }
  std::uint16_t port() const { return port_; }

  struct Seen {
    std::string method, path, target, body, authorization;
  };
  std::vector<Seen> seen(std::string_view path = "") {
    std::lock_guard lock(mutex_);
    std::vector<Seen> list;
    for (const Seen& one : seen_) {
      if (path.empty() || one.path == path) list.push_back(one);
    }
    return list;
  }
  void forget() {
    std::lock_guard lock(mutex_);
    seen_.clear();
  }
  std::atomic<int> status{200};  // of generations
  std::string burn = "null";     // what it says it cleared; set before the first request
  std::atomic<int> reset_status{200};
  std::atomic<bool> hangs_up{false};  // takes a generation and closes
  std::atomic<bool> cuts{false};      // streams a piece and closes

 private:
  static Task<void> handle(Upstream& self, Exchange& exchange) {
    http::Request& request = exchange.request();
    {
      std::lock_guard lock(self.mutex_);
      self.seen_.push_back({std::string(http::method_name(request.method)), request.path, request.target,
                            request.body, std::string(request.headers.single("authorization").value_or(""))});
    }
    if (request.path != "/v1/chat/completions") {
      const int status = request.path == "/health" ? 200 : self.reset_status.load();
      static_cast<void>(co_await exchange.send(Response::text(status, "ok")));
      co_return;
    }
    if (self.hangs_up) {
      exchange.abort();
      co_return;
    }
    if (self.status != 200) {
      static_cast<void>(
          co_await exchange.send(Response::json(self.status, "{\"error\":{\"message\":\"no\"}}")));
      co_return;
    }
    auto body = json::Document::parse(request.body);
    if (body && body->root()["stream"].as_bool().value_or(false)) co_return co_await stream(self, exchange);
    static_cast<void>(co_await exchange.send(Response::json(
        200,
        R"({"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],)"
        R"("usage":{"prompt_tokens":9,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":4}},)"
        R"("bulkhead":{"burn":)" +
            self.burn + "}}")));
  }
  static Task<void> stream(Upstream& self, Exchange& exchange) {
    http::Headers headers;
    headers.set("content-type", "text/event-stream");
    static_cast<void>(co_await exchange.start(200, std::move(headers)));
    static_cast<void>(
        co_await exchange.write("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n"));
    if (self.cuts) {
      exchange.abort();
      co_return;
    }
    static_cast<void>(co_await exchange.write(
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"));
    static_cast<void>(co_await exchange.finish());
  }

  http::ReactorPool& reactors_;
  std::unique_ptr<http::Server> server_;
  std::uint16_t port_ = 0;
  std::mutex mutex_;
  std::vector<Seen> seen_;
};

class ExternalEngineTest : public tenancy::DirectoryTest {
 protected:
  ExternalEngineTest() {
    create_lenient("alpha");
    create_lenient("beta");
  }
  void create_lenient(std::string_view name,
                      tenancy::PrefixCacheMode mode = tenancy::PrefixCacheMode::Session) {
    tenancy::TenantPolicy policy;
    policy.engine.burn = tenancy::BurnMode::BestEffort;
    policy.engine.prefix_isolation = tenancy::PrefixIsolation::BestEffort;
    policy.engine.prefix_cache = mode;
    ASSERT_TRUE(
        directory->create(tenancy::tenant_id(name), std::string(name), tenancy::IsolationMode::Hybrid, policy)
            .ok());
  }
  void start(EngineKind kind, std::vector<std::string> urls, bool reset = false) {
    ExternalOptions options;
    options.replica.kind = kind;
    options.replica.breaker = {2, std::chrono::seconds(10)};
    options.urls = std::move(urls);
    options.api_key = base::Secret::copy_of(std::string_view("upstream-key"));
    options.salt_key = crypto::random_secret(32);
    options.model = "m";
    options.reset_cache = reset;
    options.health_interval = std::chrono::hours(1);  // what is seen is the requests' own doing
    options.on_event = [this](const ReplicaEvent& event) {
      std::lock_guard lock(mutex);
      events.push_back(event);
    };
    auto started = ExternalEngine::start(std::move(options), reactors, clock);
    ASSERT_TRUE(started.ok()) << started.error().describe();
    engine = std::move(*started);
  }
  static ChatRequest hello() {
    ChatRequest request;
    request.model = "m";
    request.messages = {{"user", "hello", {}, ""}};
    return request;
  }
  CallContext context(std::string_view tenant, std::string session) {
    return {open(tenant), std::move(session), "req_1", {}};
  }
  Result<Completion> chat(std::string_view tenant, std::string session, ChatRequest request = hello()) {
    return http::testing::run_on(
        reactors.at(0),
        testing::read_answer(*engine, context(tenant, std::move(session)), std::move(request)));
  }
  static std::string salt_in(const std::string& body) {
    auto document = json::Document::parse(body);
    return std::string(document->root()["cache_salt"].as_string().value_or(""));
  }
  std::string salt_of(Upstream& upstream, std::string_view tenant, std::string session) {
    upstream.forget();
    auto answer = chat(tenant, std::move(session));
    EXPECT_TRUE(answer.ok()) << answer.error().describe();
    return salt_in(upstream.seen("/v1/chat/completions").at(0).body);
  }

  http::ReactorPool reactors{2};
  std::mutex mutex;
  std::vector<ReplicaEvent> events;
  std::unique_ptr<ExternalEngine> engine;
};

TEST_F(ExternalEngineTest, SaltsFollowTenantAndSessionAndEndWithBurn) {
  Upstream upstream(reactors);
  for (EngineKind kind : {EngineKind::Vllm, EngineKind::Sglang}) {
    start(kind, {upstream.url()});
    const std::string salt = salt_of(upstream, "alpha", "s1");
    EXPECT_EQ(salt.size(), 43u);
    EXPECT_EQ(salt_of(upstream, "alpha", "s1"), salt);
    EXPECT_NE(salt_of(upstream, "beta", "s1"), salt);
    EXPECT_NE(salt_of(upstream, "alpha", "s2"), salt);
    auto burned =
        http::testing::run_on(reactors.at(0), engine->burn_kept({tenancy::tenant_id("alpha"), "s1", "r"}));
    ASSERT_TRUE(burned.ok());
    EXPECT_FALSE(burned->verified());
    EXPECT_EQ(burned->reuse, kind == EngineKind::Vllm ? base::RowsReuse::None : base::RowsReuse::Unknown);
    EXPECT_TRUE(upstream.seen(kind == EngineKind::Vllm ? "/reset_prefix_cache" : "/flush_cache").empty());
    EXPECT_NE(salt_of(upstream, "alpha", "s1"), salt);
    engine.reset();
  }
}

TEST_F(ExternalEngineTest, ASaltEndsWhenItsSessionIsIdleForThePolicysTime) {
  Upstream upstream(reactors);
  start(EngineKind::Vllm, {upstream.url()});
  const std::string salt = salt_of(upstream, "alpha", "s1");
  clock.advance(std::chrono::seconds(299));
  EXPECT_EQ(salt_of(upstream, "alpha", "s1"), salt);
  clock.advance(std::chrono::seconds(300));
  EXPECT_NE(salt_of(upstream, "alpha", "s1"), salt);
}

TEST_F(ExternalEngineTest, WithoutAPolicyToKeepEveryRequestHasASaltOfItsOwn) {
  create_lenient("gamma", tenancy::PrefixCacheMode::Off);
  Upstream upstream(reactors);
  start(EngineKind::Vllm, {upstream.url()});
  EXPECT_NE(salt_of(upstream, "gamma", "s1"), salt_of(upstream, "gamma", "s1"));
}

TEST_F(ExternalEngineTest, ReportsSayWhatReuseTheSessionAllows) {
  create_lenient("gamma", tenancy::PrefixCacheMode::Off);
  Upstream upstream(reactors);
  start(EngineKind::Vllm, {upstream.url()});
  const std::string salt = salt_of(upstream, "alpha", "s1");
  upstream.forget();
  auto kept = chat("alpha", "s1");
  ASSERT_EQ(salt_in(upstream.seen("/v1/chat/completions").at(0).body), salt) << "the next request can match";
  EXPECT_EQ(kept->burn->rows, base::RowsFate::Kept) << "so the rows are not out of reach";
  EXPECT_EQ(kept->burn->reuse, base::RowsReuse::Session);
  EXPECT_EQ(kept->burn->reuse_seconds, 300u);
  auto off = chat("gamma", "s1");
  EXPECT_EQ(off->burn->rows, base::RowsFate::Unreachable);
  EXPECT_EQ(off->burn->reuse, base::RowsReuse::None);
  engine.reset();
  for (EngineKind kind : {EngineKind::OpenAi, EngineKind::Ollama, EngineKind::Sglang}) {
    start(kind, {upstream.url()});
    for (const char* tenant : {"alpha", "gamma"}) {
      auto answer = chat(tenant, "s1");
      EXPECT_EQ(answer->burn->rows, base::RowsFate::Unknown) << kind_name(kind);
      EXPECT_EQ(answer->burn->reuse, base::RowsReuse::Unknown) << kind_name(kind);
    }
    engine.reset();
  }
}

TEST_F(ExternalEngineTest, AServersOwnWordOnBurningIsNotTaken) {
  Upstream upstream(reactors);
  base::BurnReport forged{.engine = "worker", .rows = base::RowsFate::NothingKept};
  base::json::Writer w;
  base::write(w, forged);
  upstream.burn = w.take();
  ASSERT_TRUE(forged.verified()) << "control: it would pass for one";
  start(EngineKind::Vllm, {upstream.url()});
  auto answer = chat("alpha", "s1");
  EXPECT_FALSE(answer->burn->verified());
  EXPECT_EQ(answer->burn->engine, "vllm");
}

TEST_F(ExternalEngineTest, OthersGetNoSaltAndReuseIsHiddenWhereItMayBeForeign) {
  Upstream upstream(reactors);
  for (EngineKind kind : {EngineKind::OpenAi, EngineKind::Ollama}) {
    start(kind, {upstream.url()});
    EXPECT_EQ(salt_of(upstream, "alpha", "s1"), "");
    EXPECT_FALSE(chat("alpha", "s1")->usage.cached_tokens.has_value());
    engine.reset();
  }
  start(EngineKind::Vllm, {upstream.url()});
  EXPECT_EQ(chat("alpha", "s1")->usage.cached_tokens, 4);
}

TEST_F(ExternalEngineTest, CachesAreResetOnBurnWhereTheDeploymentAllowsIt) {
  Upstream upstream(reactors);
  const std::pair<EngineKind, const char*> kinds[] = {{EngineKind::Vllm, "/reset_prefix_cache"},
                                                      {EngineKind::Sglang, "/flush_cache"},
                                                      {EngineKind::Ollama, "/api/generate"}};
  for (const auto& [kind, path] : kinds) {
    start(kind, {upstream.url()}, true);
    BurnTarget target{tenancy::tenant_id("alpha"), "", "r"};
    EXPECT_TRUE(http::testing::run_on(reactors.at(0), engine->burn_kept(target)).ok());
    ASSERT_EQ(upstream.seen(path).size(), 1u);
    EXPECT_EQ(upstream.seen(path)[0].method, "POST");
    upstream.reset_status = 400;  // SGLang refuses while requests run
    EXPECT_FALSE(http::testing::run_on(reactors.at(0), engine->burn_kept(target)).ok());
    upstream.reset_status = 200;
    upstream.forget();
    engine.reset();
  }
}

TEST_F(ExternalEngineTest, AnAddresssPathStandsBeforeEveryRoute) {
  Upstream upstream(reactors);
  start(EngineKind::OpenAi, {"http://127.0.0.1:" + std::to_string(upstream.port()) + "/models/a/v1/"});
  static_cast<void>(chat("alpha", "s1"));
  EXPECT_EQ(upstream.seen("/models/a/v1/chat/completions").size(), 1u);
}

TEST_F(ExternalEngineTest, NothingNamesTheTenantAndTheKeyIsTheDeployments) {
  Upstream upstream(reactors);
  start(EngineKind::Vllm, {upstream.url()});
  ASSERT_TRUE(chat("alpha", "session-name").ok());
  const Upstream::Seen seen = upstream.seen("/v1/chat/completions").at(0);
  EXPECT_EQ(seen.authorization, "Bearer upstream-key");
  EXPECT_EQ(seen.body.find("alpha"), std::string::npos);
  EXPECT_EQ(seen.body.find("session-name"), std::string::npos);
}

TEST_F(ExternalEngineTest, APolicyStricterThanTheEngineIsRefusedAtEachRequestToo) {
  create("strict");
  Upstream upstream(reactors);
  start(EngineKind::Vllm, {upstream.url()});
  EXPECT_EQ(chat("strict", "s1").error().parameter(), "burn");
  EXPECT_TRUE(upstream.seen("/v1/chat/completions").empty());
}

TEST_F(ExternalEngineTest, ASessionStaysAtOneReplicaAndSessionsSpread) {
  Upstream one(reactors), two(reactors);
  start(EngineKind::Vllm, {one.url(), two.url()});
  for (int session = 0; session < 16; ++session) {
    const std::size_t before = one.seen("/v1/chat/completions").size();
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(chat("alpha", "s" + std::to_string(session)).ok());
    const std::size_t more = one.seen("/v1/chat/completions").size() - before;
    EXPECT_TRUE(more == 0 || more == 3) << more;
  }
  EXPECT_FALSE(one.seen("/v1/chat/completions").empty());
  EXPECT_FALSE(two.seen("/v1/chat/completions").empty());
}

TEST(ReplicaOrder, OnlyTheLostReplicasKeysMove) {
  const std::vector<std::string> all = {"a", "b", "c"}, fewer = {"a", "c"};
  for (int i = 0; i < 200; ++i) {
    const std::string key = "k" + std::to_string(i);
    const std::string& before = all[replica_order(key, all)[0]];
    if (before != "b") EXPECT_EQ(fewer[replica_order(key, fewer)[0]], before);
  }
}

TEST_F(ExternalEngineTest, ADeadReplicaIsPassedOverAndItsBreakerOpensAndCloses) {
  Upstream one(reactors), two(reactors);
  start(EngineKind::Vllm, {one.url(), two.url()});
  one.down();
  for (int i = 0; i < 32; ++i) ASSERT_TRUE(chat("alpha", "s" + std::to_string(i)).ok());
  EXPECT_EQ(engine->replicas()[0].breaker, CircuitBreaker::State::Open);
  EXPECT_EQ(engine->failovers(), 2u);  // then the breaker kept requests away from it
  EXPECT_TRUE(engine->ready());
  two.down();
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(chat("alpha", "s").error().is(EngineError::Unavailable));
  EXPECT_FALSE(engine->ready());
  one.up(one.port());
  clock.advance(std::chrono::seconds(10));
  EXPECT_TRUE(chat("alpha", "s").ok());
  EXPECT_TRUE(engine->ready());
  std::lock_guard lock(mutex);
  EXPECT_GE(events.size(), 3u);  // down, down, up
}

TEST_F(ExternalEngineTest, WhatAReplicaDidNotTakeGoesToTheNext) {
  for (int status : {429, 502, 503, 504}) {
    Upstream one(reactors), two(reactors);
    one.status = two.status = status;
    start(EngineKind::Vllm, {one.url(), two.url()});
    EXPECT_FALSE(chat("alpha", "s1").ok());
    EXPECT_EQ(one.seen("/v1/chat/completions").size() + two.seen("/v1/chat/completions").size(), 2u)
        << status;
    engine.reset();
  }
}

TEST_F(ExternalEngineTest, WhatAReplicaTookIsNotTriedTwiceAndErrorsOfContentOpenNoBreaker) {
  for (int status : {400, 500}) {
    Upstream one(reactors), two(reactors);
    one.status = two.status = status;
    start(EngineKind::Vllm, {one.url(), two.url()});
    for (int i = 0; i < 5; ++i) EXPECT_FALSE(chat("alpha", "s1").ok());
    EXPECT_EQ(one.seen("/v1/chat/completions").size() + two.seen("/v1/chat/completions").size(), 5u)
        << status;
    for (const ReplicaStatus& replica : engine->replicas()) EXPECT_TRUE(replica.ready);
    engine.reset();
  }
}

TEST_F(ExternalEngineTest, ARequestThatKillsAReplicaIsNotGivenTheNext) {
  Upstream one(reactors), two(reactors);
  one.hangs_up = two.hangs_up = true;
  start(EngineKind::Vllm, {one.url(), two.url()});
  EXPECT_FALSE(chat("alpha", "s1").ok());
  EXPECT_TRUE(one.seen("/v1/chat/completions").empty() || two.seen("/v1/chat/completions").empty());
}

Task<Result<std::string>> read_all(Engine& engine, CallContext context, ChatRequest request) {
  request.stream = true;
  auto stream = co_await engine.chat(std::move(context), std::move(request));
  if (!stream) co_return stream.take_error();
  std::string text;
  while (true) {
    auto piece = co_await (*stream)->next();
    if (!piece) co_return base::Error(EngineError::Failed, text);
    if (!*piece) co_return text;
    text += (*piece)->text;
  }
}

TEST_F(ExternalEngineTest, NothingIsTriedAgainOnceAnAnswerHasBegun) {
  Upstream one(reactors), two(reactors);
  start(EngineKind::Vllm, {one.url(), two.url()});
  auto whole = http::testing::run_on(reactors.at(0), read_all(*engine, context("alpha", "s1"), hello()));
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(*whole, "hi");
  one.forget();
  two.forget();
  one.cuts = two.cuts = true;
  auto cut = http::testing::run_on(reactors.at(0), read_all(*engine, context("alpha", "s1"), hello()));
  ASSERT_FALSE(cut.ok());
  EXPECT_EQ(cut.error().message(), "hi");  // the piece came, and no second one from elsewhere
  EXPECT_EQ(one.seen("/v1/chat/completions").size() + two.seen("/v1/chat/completions").size(), 1u);
}

}  // namespace
}  // namespace bulkhead::engine
