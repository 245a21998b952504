// The re-embedder over real stores, with an engine of the tests' own in the model's place.
#include "rag/reembedder.h"

#include <atomic>

#include "http/reactor.h"
#include "rag/embedding.h"
#include "rag/ingest.h"
#include "storage/store_fixture.h"
#include "support/eventually.h"
#include "test_engine.h"

namespace bulkhead::rag {
namespace {

using base::EmbeddingSpace;
using base::Result;
using base::Task;
using storage::sample_space;

class ReembedderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* tenant : {"a", "b", "c"}) {
      platform.add_tenant(tenant);
      for (const char* file : {"f1", "f2"}) put(tenant, file, sample_space(1));
    }
    make();
  }
  void put(std::string_view tenant, std::string_view file, const EmbeddingSpace& space) {
    const auto scope = platform.scope(tenant);
    ASSERT_OK(platform.store(tenant)->put_file(scope, storage::sample_file(file), "x"));
    ASSERT_OK(platform.store(tenant)->replace_chunks(scope, storage::file_id(file),
                                                     storage::sample_chunks(file, 20),
                                                     storage::sample_vectors(20, 4, space)));
  }
  void make() {
    ReembedOptions options;
    options.embedding_model = "m";
    options.load = [this]() -> Result<std::optional<std::string>> { return saved; };
    options.save = [this](const std::string& text) -> Result<void> {
      saved = text;
      return {};
    };
    options.switch_over = [this](const EmbeddingSpace& next) -> Result<void> {
      ++switches;
      std::lock_guard lock(engine.mutex);
      engine.spaces = {.current = next, .next = std::nullopt};
      return {};
    };
    reembedder = std::make_unique<Reembedder>(
        Reembedder::Uses{upkeep, *platform.manager, *platform.directory, engine, pools, reactors.at(0)},
        std::move(options));
    reembedder->on_event([this](const ReembedEvent& event) {
      std::lock_guard lock(engine.mutex);
      events.push_back(event);
    });
  }
  void round() {
    reembedder->run_once([] { return false; });
  }
  std::vector<EmbeddingSpace> spaces_of(std::string_view tenant, std::string_view file = "f1") {
    const auto chunks =
        storage::must(platform.store(tenant)->file_chunks(platform.scope(tenant), storage::file_id(file)));
    std::vector<EmbeddingSpace> spaces;
    for (const auto& each : chunks.vectors[0]) spaces.push_back(each.space);
    return spaces;
  }
  void set_spaces(std::uint8_t current, std::optional<std::uint8_t> next = std::nullopt) {
    std::lock_guard lock(engine.mutex);
    engine.spaces.current = sample_space(current);
    engine.spaces.next.reset();
    if (next) engine.spaces.next = sample_space(*next);
  }

  using Spaces = std::vector<EmbeddingSpace>;
  const Spaces one{sample_space(1)}, two{sample_space(2)}, both{sample_space(1), sample_space(2)};
  storage::TemporaryFolder folder;
  storage::TestPlatform platform{folder.path() / "data"};
  storage::Upkeep upkeep{*platform.manager, *platform.directory};
  TestEngine engine;
  storage::StorePools pools{*platform.directory, {}};
  http::ReactorPool reactors{1};
  std::optional<std::string> saved;
  std::vector<ReembedEvent> events;
  int switches = 0;
  std::unique_ptr<Reembedder> reembedder;  // ends first
};

TEST_F(ReembedderTest, LooksThroughAllOnceAndThenNoMore) {
  round();
  EXPECT_EQ(engine.calls, 0u) << "nothing lacks";
  EXPECT_EQ(saved, sample_space(1).hex());
  EXPECT_TRUE(events.empty());
  // What lacks afterwards is found by whoever asks, or not at all: nobody looks.
  put("a", "f3", sample_space(7));
  round();
  EXPECT_EQ(spaces_of("a", "f3"), Spaces{sample_space(7)});
  make();
  round();
  EXPECT_EQ(engine.calls, 0u) << "also not after a restart";
  reembedder->start(storage::tenant_id("a"));
  reembedder->stop();
}

TEST_F(ReembedderTest, AnotherModelGetsVectorsOfEveryTenantInItsOwnScope) {
  set_spaces(2);
  round();
  for (const char* tenant : {"a", "b", "c"}) {
    EXPECT_EQ(spaces_of(tenant, "f1"), two);
    EXPECT_EQ(spaces_of(tenant, "f2"), two);
  }
  EXPECT_EQ(saved, sample_space(2).hex());
  EXPECT_TRUE(engine.upkeep_only);
  EXPECT_EQ(engine.priorities, std::set{engine::Priority::Maintenance});
  EXPECT_EQ(engine.asked, (std::set<std::string>{"a", "b", "c"}));
  const storage::Chunk chunk = storage::sample_chunks("f1", 20)[4];
  EXPECT_TRUE(engine.embedded.contains(chunk.heading + "\n" + chunk.text)) << "as ingest embeds it";
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].kind, ReembedEvent::Kind::Begun);
  EXPECT_EQ(events[1].kind, ReembedEvent::Kind::Completed);
  EXPECT_EQ(events[1].space, sample_space(2));
  EXPECT_EQ(events[1].progress.tenants_done, 3u);
}

TEST_F(ReembedderTest, ANextModelIsSwitchedToWhenOneLookFoundNothingLacking) {
  set_spaces(1, 2);
  round();
  EXPECT_EQ(spaces_of("b"), both) << "both while it lasts";
  EXPECT_EQ(switches, 0) << "it had something to do";
  put("b", "f3", sample_space(1));  // an upload that began before the next one was there
  round();
  EXPECT_EQ(switches, 0);
  EXPECT_EQ(spaces_of("b", "f3"), both);
  round();
  EXPECT_EQ(switches, 1);
  round();
  EXPECT_EQ(spaces_of("a"), two) << "the old ones are gone";
  EXPECT_EQ(spaces_of("b", "f3"), two);
  EXPECT_EQ(saved, sample_space(2).hex());
  ASSERT_EQ(events.size(), 2u);
}

TEST_F(ReembedderTest, ACancelledReplacementIsTakenOutAgain) {
  set_spaces(1, 2);
  round();
  set_spaces(1);
  round();
  EXPECT_EQ(spaces_of("a"), one);
  EXPECT_EQ(spaces_of("c", "f2"), one);
  EXPECT_EQ(switches, 0);
}

TEST_F(ReembedderTest, WhatFailsIsTriedAgainAndHoldsUpTheSwitch) {
  set_spaces(1, 2);
  engine.failures = 1;
  round();
  round();
  EXPECT_EQ(switches, 0);
  round();
  round();
  EXPECT_EQ(switches, 1);
}

TEST_F(ReembedderTest, WhoCantBeOpenedIsPassedOverNamedAndDoneWhenItIsBack) {
  (void)storage::must(platform.directory->suspend(storage::tenant_id("b"), "test"));
  set_spaces(1, 2);
  for (int i = 0; i < 4 && switches == 0; ++i) round();
  EXPECT_EQ(switches, 1);
  EXPECT_EQ(reembedder->progress().skipped, std::vector<std::string>{"b"});
  EXPECT_EQ(engine.asked, (std::set<std::string>{"a", "c"}));
  (void)storage::must(platform.directory->resume(storage::tenant_id("b")));
  EXPECT_EQ(spaces_of("b"), one);
  reembedder->came_back(storage::tenant_id("b"));
  EXPECT_TRUE(test::eventually([&] { return spaces_of("b", "f1") == two && spaces_of("b", "f2") == two; }));
}

TEST_F(ReembedderTest, AChunkThatIsTooLongIsEmbeddedByItsHead) {
  put("a", "f3", sample_space(1));
  auto chunks = storage::sample_chunks("f3", 2);
  for (int i = 0; i < 100; ++i) chunks[1].text += " größer";
  ASSERT_OK(platform.store("a")->replace_chunks(platform.scope("a"), storage::file_id("f3"), chunks,
                                                storage::sample_vectors(2, 4, sample_space(1))));
  engine.longest = 300;
  set_spaces(2);
  round();
  EXPECT_EQ(spaces_of("a", "f3"), two);
  const std::string whole = chunks[1].heading + "\n" + chunks[1].text;
  EXPECT_FALSE(engine.embedded.contains(whole));
  EXPECT_TRUE(std::any_of(engine.embedded.begin(), engine.embedded.end(), [&](const std::string& text) {
    return text.size() > 100 && text.size() < whole.size() && whole.starts_with(text);
  }));
}

}  // namespace
}  // namespace bulkhead::rag
