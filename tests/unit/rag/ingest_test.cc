// Ingest over real stores and the real extractor, with an engine of the tests' own: what one tenant's
// document does to others' is told by the order of events, with one tenant's embeddings held.
#include "rag/ingest.h"

#include <gtest/gtest.h>

#include "http/reactor.h"
#include "support/eventually.h"
#include "test_engine.h"

namespace bulkhead::rag {
namespace {

using storage::AttachmentStatus;
using test::eventually;

std::string text_of(std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += "The ward keeps a list of every dose that was given on this day.\n\n";
  return text;
}

class IngestTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* tenant : {"a", "b"}) platform.add_tenant(tenant);
    make({});
  }
  void TearDown() override {
    engine.let_go("a");
    ingestor->stop();
  }
  void make(std::vector<IngestLane> lanes) {
    if (ingestor) ingestor->stop();
    IngestOptions options;
    options.embedding_model = "m";
    if (!lanes.empty()) options.lanes = std::move(lanes);
    ingestor =
        std::make_unique<Ingestor>(*platform.manager, engine, extractor, pools, platform.clock, options);
  }
  storage::AttachmentRecord attach(std::string_view tenant, std::string_view file, std::size_t bytes,
                                   std::string_view store = "s") {
    const auto scope = platform.scope(tenant);
    auto record = storage::sample_file(file);
    record.bytes = bytes;
    storage::VectorStoreRecord into{.id = storage::store_id(store)};
    into.owner = "alice";
    EXPECT_OK(platform.store(tenant)->put_file(scope, record, text_of(bytes)));
    EXPECT_OK(platform.store(tenant)->put_vector_store(scope, into));
    storage::AttachmentRecord attachment{.store = into.id, .file = record.id};
    EXPECT_OK(platform.store(tenant)->put_attachment(scope, attachment));
    return attachment;
  }
  void start(std::string_view tenant, const storage::AttachmentRecord& attachment) {
    base::Event started;
    reactors.at(0).post([&] {
      ingestor->start(platform.scope(tenant), attachment);
      started.set();
    });
    eventually([&] { return started.is_set(); });
  }
  AttachmentStatus status(std::string_view tenant, const storage::AttachmentRecord& attachment) {
    return storage::must(platform.store(tenant)->get_attachment(platform.scope(tenant), attachment.store,
                                                                attachment.file))
        .status;
  }
  bool done(std::string_view tenant, const storage::AttachmentRecord& attachment) {
    return status(tenant, attachment) == AttachmentStatus::Completed;
  }

  static constexpr std::size_t kLarge = 4u << 20, kSmall = 2000;
  storage::TemporaryFolder folder;
  storage::TestPlatform platform{folder.path() / "data"};
  TestEngine engine;
  base::FairPool extractions{{.threads = 4}};
  storage::StorePools pools{*platform.directory, {}};
  Extractor extractor{
      {.executable = std::filesystem::path(BULKHEAD_BINARY_DIR) / "bin/bulkhead-extract", .allow_swap = true},
      extractions};
  http::ReactorPool reactors{1};
  std::unique_ptr<Ingestor> ingestor;  // ends first
};

TEST_F(IngestTest, ASmallFileIsSearchableWhileAnotherTenantsLargeOneIsBeingIndexed) {
  const auto large = attach("a", "large", kLarge), again = attach("a", "large2", kLarge);
  const auto small = attach("b", "small", kSmall);
  engine.hold("a");
  start("a", large);
  start("a", again);
  ASSERT_TRUE(eventually([&] { return engine.held_calls("a") > 0; }));
  start("b", small);
  EXPECT_TRUE(eventually([&] { return done("b", small); }));
  EXPECT_EQ(status("a", large), AttachmentStatus::InProgress);
  EXPECT_EQ(engine.embedded_of("a"), 0u) << "none of the large one's text was waited for";
  EXPECT_EQ(engine.held_calls("a"), 1u) << "and one large document of a tenant is in memory at a time";
  engine.let_go("a");
  EXPECT_TRUE(eventually([&] { return done("a", large) && done("a", again); }));
  EXPECT_LE(engine.largest_batch, 8u);
  EXPECT_EQ(engine.priorities, std::set{engine::Priority::Background});
}

// One place for the whole of a document, as it would be without lanes.
TEST_F(IngestTest, ControlWithOnePlaceForWholeDocumentsTheSmallFileWaits) {
  make({{UINT64_MAX, SIZE_MAX, 1, 1}});
  const auto large = attach("a", "large", 1u << 20);
  const auto small = attach("b", "small", kSmall);
  engine.hold("a");
  start("a", large);
  ASSERT_TRUE(eventually([&] { return engine.held_calls("a") > 0; }));
  start("b", small);
  engine.let_go("a");
  ASSERT_TRUE(eventually([&] { return done("b", small); }));
  const std::size_t first_of_b = static_cast<std::size_t>(
      std::find(engine.order.begin(), engine.order.end(), "b") - engine.order.begin());
  EXPECT_EQ(first_of_b, engine.embedded_of("a")) << "all of the large one came first";
}

TEST_F(IngestTest, ASmallFileDoesNotWaitForALargeOneOfItsOwnTenant) {
  const auto large = attach("a", "large", kLarge);
  const auto small = attach("a", "small", kSmall, "s2");
  engine.hold("a");
  start("a", large);
  ASSERT_TRUE(eventually([&] { return engine.held_calls("a") == 1; }));
  start("a", small);
  EXPECT_TRUE(eventually([&] { return engine.held_calls("a") == 2; })) << "both are at the model";
}

TEST_F(IngestTest, DeletingOrDetachingEndsTheWorkWithinOneBatch) {
  const auto scope = platform.scope("a");
  auto store = platform.store("a");
  const auto deleted = attach("a", "deleted", kSmall * 40), detached = attach("a", "detached", kSmall * 40),
             store_gone = attach("a", "gone", kSmall * 40, "s3"), kept = attach("a", "kept", kSmall);
  engine.hold("a");
  for (const auto& each : {deleted, detached, store_gone, kept}) start("a", each);
  ASSERT_TRUE(eventually([&] { return engine.held_calls("a") == 4; }));
  ASSERT_OK(store->delete_file(scope, deleted.file));
  ingestor->file_deleted(scope.tenant(), deleted.file);
  ASSERT_OK(store->delete_attachment(scope, detached.store, detached.file));
  ingestor->detached(scope.tenant(), detached.store, detached.file);
  ASSERT_OK(store->delete_vector_store(scope, store_gone.store));
  ingestor->store_deleted(scope.tenant(), store_gone.store);
  EXPECT_TRUE(eventually([&] { return ingestor->running() == 1; }))
      << "three ended, though the model gave nothing";
  EXPECT_EQ(engine.embedded_of("a"), 0u);
  engine.let_go("a");
  EXPECT_TRUE(eventually([&] { return done("a", kept); })) << "control: what was not deleted goes on";
  EXPECT_FALSE(storage::must(store->has_chunks(scope, detached.file)));
}

TEST_F(IngestTest, WhatIsAttachedAgainAfterItWasDetachedIsIndexed) {
  const auto scope = platform.scope("a");
  const auto file = attach("a", "file", kSmall);
  engine.hold("a");
  start("a", file);
  ASSERT_TRUE(eventually([&] { return engine.held_calls("a") == 1; }));
  ASSERT_OK(platform.store("a")->delete_attachment(scope, file.store, file.file));
  ASSERT_OK(platform.store("a")->put_attachment(scope, file));
  base::Event started;
  reactors.at(0).post([&] {
    // Both before the cancelled work could have ended.
    ingestor->detached(scope.tenant(), file.store, file.file);
    ingestor->start(scope, file);
    started.set();
  });
  ASSERT_TRUE(eventually([&] { return started.is_set(); }));
  engine.let_go("a");
  EXPECT_TRUE(eventually([&] { return done("a", file); }));
}

TEST_F(IngestTest, ASmallFileWithALargeTextTakesItsTurnAmongTheLargeOnes) {
  make({{UINT64_MAX, 8, 4, 4}, {UINT64_MAX, SIZE_MAX, 1, 1}});
  const auto first = attach("a", "first", 64u << 10), second = attach("a", "second", 64u << 10);
  engine.hold("a");
  start("a", first);
  start("a", second);
  ASSERT_TRUE(eventually([&] { return engine.held_calls("a") == 1; }));
  engine.let_go("a");
  EXPECT_TRUE(eventually([&] { return done("a", first) && done("a", second); }));
}

}  // namespace
}  // namespace bulkhead::rag
