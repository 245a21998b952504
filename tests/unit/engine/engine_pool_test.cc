// The pool with real workers and the small test model. The same model under another hash is a copy
// with bytes after its last tensor.
#include "engine/engine_pool.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <future>

#include "base/bytes.h"
#include "base/file.h"
#include "crypto/hash.h"
#include "engine/read_stream.h"
#include "support/eventually.h"
#include "tenancy/support.h"

namespace bulkhead::engine {
namespace {

namespace fs = std::filesystem;
using base::Result;
using base::Task;
using test::eventually;

template <typename T>
Task<void> fulfil(Task<T> task, std::shared_ptr<std::promise<T>> promise) {
  promise->set_value(co_await std::move(task));
}

class EnginePoolTest : public tenancy::DirectoryTest {
 protected:
  static void SetUpTestSuite() {
    char path[] = "/tmp/bulkhead-pool-XXXXXX";
    folder() = ::mkdtemp(path);
    fs::create_directory(folder() / "models");
    fs::path source = fs::path(BULKHEAD_SOURCE_DIR) / "build/models/chat-test.gguf";
    for (const char* name : {"one.gguf", "two.gguf"}) fs::copy_file(source, folder() / "models" / name);
    std::ofstream(folder() / "models/two.gguf", std::ios::app | std::ios::binary) << std::string(32, '\0');
  }
  static void TearDownTestSuite() { fs::remove_all(folder()); }
  static fs::path& folder() {
    static fs::path made;
    return made;
  }

  static std::string hash_of(const std::string& name) {
    static std::map<std::string, std::string> known;
    std::string& hash = known[name];
    if (hash.empty())
      hash = base::hex_encode(crypto::sha256(*base::read_file(folder() / "models" / name, 1u << 30)));
    return hash;
  }
  static ModelVersion version(std::string id, const std::string& name, std::string sha256 = "") {
    ModelVersion made;
    made.id = std::move(id);
    made.path = folder() / "models" / name;
    made.sha256 = sha256.empty() ? hash_of(name) : sha256;
    made.context = 256;
    made.slots = 2;
    return made;
  }

  PoolOptions options() {
    PoolOptions made;
    made.executable = fs::path(BULKHEAD_BINARY_DIR) / "bin/bulkhead-engine";
    made.run_dir = folder() / "run";
    made.common_arguments = {"--threads", "1", "--batch-threads", "1"};
    made.rules.model_dir = folder() / "models";
    made.default_model = "chat";
    made.load = [this]() -> Result<std::optional<std::string>> { return saved; };
    made.save = [this](const std::string& text) -> Result<void> {
      if (save_fails) return base::Error(EngineError::Failed, "The disk is full.");
      saved = text;
      return Result<void>();
    };
    made.on_event = [this](const WorkerEvent& event) {
      std::lock_guard lock(events_mutex);
      events.push_back(event);
    };
    return made;
  }
  void start(PoolOptions with, std::vector<ModelVersion> models) {
    fs::create_directories(folder() / "run");
    fs::permissions(folder() / "run", fs::perms::owner_all);
    auto started =
        EnginePool::start(std::move(with), std::move(models), blocking, reactors, base::Clock::system());
    ASSERT_TRUE(started.ok()) << started.error().describe();
    pool = std::move(*started);
    ASSERT_TRUE(eventually([&] { return pool->ready(); }));
  }
  void start() { start(options(), {version("chat", "one.gguf")}); }

  template <typename T>
  std::future<T> begin(Task<T> task, std::size_t reactor) {
    auto promise = std::make_shared<std::promise<T>>();
    base::spawn(reactors.at(reactor), fulfil(std::move(task), promise));
    return promise->get_future();
  }
  template <typename T>
  std::future<T> begin(Task<T> task) {
    return begin(std::move(task), next_reactor++ % reactors.size());
  }
  template <typename T>
  T run(Task<T> task) {
    return begin(std::move(task)).get();
  }

  // A stream lives on the reactor it began on: the first one.
  using Stream = std::unique_ptr<ChatStream>;
  Result<Stream> open_stream(CallContext who) {
    return begin(pool->chat(std::move(who), streamed(request("chat", 200))), 0).get();
  }
  static Task<bool> read_to_end(Stream stream) {
    while (true) {
      auto piece = co_await stream->next();
      if (!piece || !*piece) co_return piece.ok();
    }
  }
  static Task<bool> drop(Stream) { co_return true; }

  tenancy::TenantScope scope_of(const std::string& tenant, bool own_engine) {
    if (!directory->find(tenancy::tenant_id(tenant))) {
      tenancy::TenantPolicy policy;
      if (own_engine) policy.engine.engine = tenancy::EngineMode::Dedicated;
      EXPECT_TRUE(
          directory->create(tenancy::tenant_id(tenant), tenant, tenancy::IsolationMode::Hybrid, policy).ok());
    }
    return open(tenant);
  }
  CallContext context(const std::string& tenant, bool own_engine = false) {
    return {scope_of(tenant, own_engine), "session", "request", base::CancelToken()};
  }
  static ChatRequest request(std::string model = "chat", std::int64_t tokens = 2) {
    ChatRequest made;
    made.model = std::move(model);
    made.messages.push_back({.role = "user", .content = "Hello."});
    made.max_tokens = tokens;
    return made;
  }
  static ChatRequest streamed(ChatRequest made) {
    made.stream = true;
    return made;
  }
  Result<Completion> say(CallContext who, std::string model = "chat") {
    return run(testing::read_answer(*pool, std::move(who), request(std::move(model))));
  }
  WorkerStatus worker(const std::string& name) const {
    for (WorkerStatus& status : pool->workers()) {
      if (status.name == name) return std::move(status);
    }
    return {};
  }
  static bool gone(int pid) { return ::kill(pid, 0) != 0; }
  std::size_t count(WorkerEvent::Kind kind, const std::string& tenant) {
    std::lock_guard lock(events_mutex);
    return static_cast<std::size_t>(std::count_if(
        events.begin(), events.end(),
        [&](const WorkerEvent& event) { return event.kind == kind && event.tenant == tenant; }));
  }

  base::FairPool blocking;
  http::ReactorPool reactors{2};
  std::size_t next_reactor = 0;
  std::optional<std::string> saved;
  std::atomic<bool> save_fails{false};
  std::mutex events_mutex;
  std::vector<WorkerEvent> events;
  std::unique_ptr<EnginePool> pool;  // ends before the reactors
};

TEST_F(EnginePoolTest, SeveralModelsInProcessesOfTheirOwn) {
  start(options(), {version("chat", "one.gguf"), version("side", "two.gguf")});
  ASSERT_TRUE(eventually([&] { return worker("side").ready; }));
  EXPECT_TRUE(say(context("alpha")).ok());
  EXPECT_TRUE(say(context("alpha"), "side").ok());
  EXPECT_NE(worker("chat").pid, worker("side").pid);
  auto unknown = say(context("alpha"), "none");
  ASSERT_FALSE(unknown.ok());
  EXPECT_TRUE(unknown.error().is(EngineError::ModelUnknown));
  int side = worker("side").pid;
  ASSERT_GT(side, 0) << "0 would be every process of this group";
  ::kill(side, SIGKILL);
  EXPECT_TRUE(say(context("alpha")).ok()) << "one dies, the other goes on";
  EXPECT_TRUE(eventually([&] { return worker("side").restarts == 1 && worker("side").ready; }));
}

TEST_F(EnginePoolTest, AWorkerWithoutProgressIsReplacedAndWhoseRequestItWasIsHeldOff) {
  PoolOptions with = options();
  with.stall_time_max = std::chrono::seconds(3);
  start(with, {version("chat", "one.gguf")});
  int old = worker("chat").pid;
  ASSERT_GT(old, 0);
  auto stream = open_stream(context("alpha"));
  ASSERT_TRUE(stream.ok()) << stream.error().describe();
  ::kill(old, SIGSTOP);
  EXPECT_TRUE(eventually([&] { return worker("chat").restarts == 1 && worker("chat").ready; }));
  EXPECT_TRUE(gone(old));
  EXPECT_TRUE(say(context("beta")).ok()) << "the others are served";
  auto refused = say(context("alpha"));
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(refused.error().is(EngineError::HeldOff)) << refused.error().describe();
  std::lock_guard lock(events_mutex);
  EXPECT_TRUE(std::any_of(events.begin(), events.end(), [](const WorkerEvent& event) {
    return event.kind == WorkerEvent::Kind::Died && event.detail.starts_with("stalled");
  }));
}

TEST_F(EnginePoolTest, NobodyIsHeldOffForAWorkerKilledFromOutsideOrWithoutATime) {
  PoolOptions with = options();
  with.stall_time_max = std::chrono::seconds(3);
  with.hold_off.base_time = std::chrono::seconds(0);
  start(with, {version("chat", "one.gguf")});
  for (int signal : {SIGKILL, SIGSTOP}) {
    const auto restarts = worker("chat").restarts;
    auto stream = open_stream(context("alpha"));
    ASSERT_TRUE(stream.ok()) << stream.error().describe();
    const int pid = worker("chat").pid;
    ASSERT_GT(pid, 0);
    ::kill(pid, signal);
    EXPECT_TRUE(eventually([&] { return worker("chat").restarts == restarts + 1 && worker("chat").ready; }));
    EXPECT_TRUE(say(context("alpha")).ok());
  }
}

TEST_F(EnginePoolTest, AReplacedVersionDrainsItsRunningStream) {
  start();
  int old = worker("chat").pid;
  auto stream = open_stream(context("alpha"));
  ASSERT_TRUE(stream.ok()) << stream.error().describe();
  auto replaced = run(pool->replace(version("chat", "two.gguf"), 1));
  ASSERT_TRUE(replaced.ok()) << replaced.error().describe();
  EXPECT_NE(worker("chat").pid, old);
  EXPECT_TRUE(say(context("alpha")).ok());
  EXPECT_FALSE(gone(old)) << "its stream still runs";
  EXPECT_TRUE(begin(read_to_end(std::move(*stream)), 0).get());
  EXPECT_TRUE(eventually([&] { return gone(old); }));
  EXPECT_EQ(pool->models().at(0).sha256, hash_of("two.gguf"));
}

TEST_F(EnginePoolTest, WhatDoesNotLoadLeavesTheOldOneServing) {
  start();
  int old = worker("chat").pid;
  auto wrong_hash = run(pool->replace(version("chat", "two.gguf", std::string(64, '0')), 1));
  ASSERT_FALSE(wrong_hash.ok());
  EXPECT_TRUE(wrong_hash.error().is(EngineError::ModelRefused));
  std::ofstream(folder() / "models/broken.gguf") << "GGUF but no model";
  ModelVersion broken = version("chat", "broken.gguf");
  auto dies = run(pool->replace(broken, 1));
  ASSERT_FALSE(dies.ok());
  EXPECT_TRUE(dies.error().is(EngineError::Unavailable)) << dies.error().describe();
  save_fails = true;
  auto unsaved = run(pool->replace(version("chat", "two.gguf"), 1));
  EXPECT_FALSE(unsaved.ok()) << "what can't be kept over a restart isn't done";
  EXPECT_EQ(worker("chat").pid, old);
  EXPECT_EQ(pool->entries().at(0).current.sha256, hash_of("one.gguf"));
  EXPECT_TRUE(say(context("alpha")).ok());
  save_fails = false;
  EXPECT_TRUE(run(pool->replace(version("chat", "two.gguf"), 1)).ok()) << "the control";
}

TEST_F(EnginePoolTest, ARollOutIsKeptAndRolledBack) {
  start();
  int old = worker("chat").pid;
  ASSERT_TRUE(run(pool->replace(version("chat", "two.gguf"), 0.5)).ok());
  EXPECT_TRUE(worker("chat@next").ready);
  auto second = run(pool->replace(version("chat", "two.gguf"), 1));
  ASSERT_FALSE(second.ok());
  EXPECT_TRUE(second.error().is(EngineError::ModelBusy));
  pool.reset();
  start();
  EXPECT_EQ(pool->entries().at(0).next_share, 0.5) << "kept over a restart";
  old = worker("chat").pid;
  ASSERT_TRUE(run(pool->set_share("chat", 0)).ok());
  EXPECT_EQ(worker("chat@next").pid, 0);
  EXPECT_EQ(worker("chat").pid, old);
  EXPECT_FALSE(run(pool->set_share("chat", 1)).ok()) << "nothing is being rolled out";
}

TEST_F(EnginePoolTest, AnEmbeddingModelIsReplacedBySpaces) {
  const fs::path source = fs::path(BULKHEAD_SOURCE_DIR) / "build/models/embed.gguf";
  for (const char* name : {"embed1.gguf", "embed2.gguf"}) {
    fs::copy_file(source, folder() / "models" / name, fs::copy_options::overwrite_existing);
  }
  std::ofstream(folder() / "models/embed2.gguf", std::ios::app | std::ios::binary) << std::string(32, '\0');
  const auto embedding = [](const std::string& name) {
    ModelVersion made = version("embed", name);
    made.kind = "embedding";
    return made;
  };
  const auto old_space = base::EmbeddingSpace::of_model(hash_of("embed1.gguf"));
  const auto new_space = base::EmbeddingSpace::of_model(hash_of("embed2.gguf"));
  const auto embed = [&](CallContext who, base::EmbeddingSpace space) {
    return run(pool->embed(std::move(who), "embed", {"a text"}, space));
  };
  const std::vector<ModelVersion> configured{version("chat", "one.gguf"), embedding("embed1.gguf")};
  start(options(), configured);
  EXPECT_EQ(pool->embedding_spaces("embed"), (EmbeddingSpaces{old_space, std::nullopt}));
  EXPECT_FALSE(pool->embedding_spaces("chat").current.known());
  EXPECT_TRUE(embed(context("alpha"), old_space).ok());
  auto foreign = embed(context("alpha"), new_space);
  ASSERT_FALSE(foreign.ok()) << "no worker makes such vectors";
  EXPECT_TRUE(foreign.error().is(EngineError::Unavailable));

  auto partly = run(pool->replace(embedding("embed2.gguf"), 0.5));
  ASSERT_FALSE(partly.ok());
  EXPECT_TRUE(partly.error().is(EngineError::ModelRefused));
  EXPECT_FALSE(run(pool->replace(embedding("embed1.gguf"), 1)).ok()) << "in use already";
  ASSERT_TRUE(run(pool->replace(embedding("embed2.gguf"), 1)).ok());
  EXPECT_EQ(pool->embedding_spaces("embed"), (EmbeddingSpaces{old_space, new_space}));
  for (const auto& space : {old_space, new_space, base::EmbeddingSpace()}) {
    EXPECT_TRUE(embed(context("alpha"), space).ok());
  }
  // A tenant with a worker of its own has one for the next model too.
  EXPECT_TRUE(embed(context("own", true), old_space).ok());
  EXPECT_TRUE(embed(context("own", true), new_space).ok());
  EXPECT_TRUE(worker("own/chat").ready);
  EXPECT_TRUE(worker("own/embed@next").ready);
  EXPECT_EQ(worker("own/embed@next").sha256, hash_of("embed2.gguf"));
  EXPECT_FALSE(run(pool->set_share("embed", 1)).ok()) << "it takes over by itself";
  EXPECT_FALSE(run(pool->finish_embedding("embed", old_space)).ok()) << "not what waits";

  pool.reset();
  start(options(), configured);
  EXPECT_EQ(pool->embedding_spaces("embed"), (EmbeddingSpaces{old_space, new_space}))
      << "kept over a restart";
  ASSERT_TRUE(eventually([&] { return worker("embed@next").ready; }));
  EXPECT_TRUE(embed(context("own", true), old_space).ok());
  const int before = worker("own/chat").pid;
  ASSERT_TRUE(run(pool->finish_embedding("embed", new_space)).ok());
  EXPECT_EQ(pool->embedding_spaces("embed"), (EmbeddingSpaces{new_space, std::nullopt}));
  EXPECT_TRUE(embed(context("alpha"), new_space).ok());
  EXPECT_FALSE(embed(context("alpha"), old_space).ok());
  EXPECT_TRUE(embed(context("own", true), new_space).ok());
  EXPECT_NE(worker("own/chat").pid, before) << "its worker carries the new model too";
  EXPECT_FALSE(embed(context("own", true), old_space).ok());

  ASSERT_TRUE(run(pool->replace(embedding("embed1.gguf"), 1)).ok());
  ASSERT_TRUE(run(pool->set_share("embed", 0)).ok()) << "cancelled";
  EXPECT_EQ(pool->embedding_spaces("embed"), (EmbeddingSpaces{new_space, std::nullopt}));
}

TEST_F(EnginePoolTest, ADedicatedWorkerStartsOnceForConcurrentFirstRequests) {
  start();
  std::vector<std::future<Result<Completion>>> answers;
  for (int i = 0; i < 4; ++i)
    answers.push_back(begin(testing::read_answer(*pool, context("own", true), request())));
  for (auto& answer : answers) {
    auto result = answer.get();
    EXPECT_TRUE(result.ok()) << result.error().describe();
  }
  EXPECT_EQ(count(WorkerEvent::Kind::Started, "own"), 1u);
  EXPECT_NE(worker("own/chat").pid, worker("chat").pid);
}

TEST_F(EnginePoolTest, DedicatedWorkersAreBoundedAndStopWhenIdle) {
  PoolOptions with = options();
  with.dedicated_max = 1;
  with.dedicated_idle_max = std::chrono::seconds(1);
  start(std::move(with), {version("chat", "one.gguf")});
  auto stream = open_stream(context("own", true));
  ASSERT_TRUE(stream.ok());
  auto more = say(context("other", true));
  ASSERT_FALSE(more.ok());
  EXPECT_TRUE(more.error().is(EngineError::Unavailable));
  EXPECT_TRUE(say(context("alpha")).ok());
  int pid = worker("own/chat").pid;
  begin(drop(std::move(*stream)), 0).get();
  EXPECT_TRUE(eventually([&] { return gone(pid); })) << "idle";
  EXPECT_TRUE(eventually([&] { return say(context("other", true)).ok(); })) << "the place is free";
}

TEST_F(EnginePoolTest, ACutTenantsWorkerIsGoneAndNoNewOneStarts) {
  start();
  CallContext before = context("own", true);
  ASSERT_TRUE(say(before).ok());
  int pid = worker("own/chat").pid;
  ASSERT_TRUE(directory->suspend(tenancy::tenant_id("own"), "test").ok());
  pool->forget_tenant(tenancy::tenant_id("own"));
  EXPECT_TRUE(gone(pid));
  auto late = say(before);
  ASSERT_FALSE(late.ok());
  EXPECT_TRUE(late.error().is(EngineError::Cancelled)) << "a request that was on its way starts nothing";
  EXPECT_EQ(worker("own/chat").pid, 0);
  EXPECT_EQ(count(WorkerEvent::Kind::Started, "own"), 1u);
}

TEST_F(EnginePoolTest, StoppingWhileAWorkerStartsEndsTheWait) {
  start();
  auto waiting = begin(testing::read_answer(*pool, context("own", true), request("chat", 200)));
  ASSERT_TRUE(eventually([&] { return worker("own/chat").pid != 0; }));
  pool->stop();
  EXPECT_FALSE(waiting.get().ok());
  for (const WorkerStatus& status : pool->workers()) EXPECT_EQ(status.pid, 0);
}

}  // namespace
}  // namespace bulkhead::engine
