// Which deployment can give which mode. Each refusal has its control beside it: the same tenant where the
// deployment has what was missing.
#include "gateway/isolation.h"

#include <gtest/gtest.h>

#include "gateway/api_error.h"
#include "storage/store_fixture.h"

namespace bulkhead::gateway {
namespace {

using tenancy::EngineMode;
using tenancy::IsolationMode;

// A place that gives the modes it is told to.
class Place final : public storage::StoreBackend {
 public:
  explicit Place(std::vector<IsolationMode> modes) : modes_(std::move(modes)) {}
  bool offers(IsolationMode mode) const override {
    return std::find(modes_.begin(), modes_.end(), mode) != modes_.end();
  }
  base::Result<void> check() override { return {}; }
  base::Result<std::shared_ptr<storage::OpenStore>> open(const tenancy::TenantScope&) override {
    return std::shared_ptr<storage::OpenStore>();
  }
  base::Result<storage::FoundApiKey> find_api_key(const base::TenantId&, const storage::DatabaseKeysOf&,
                                                  const base::ApiKeyId&) override {
    return storage::FoundApiKey();
  }
  base::Result<tenancy::TenantEraser::Report> erase(const base::TenantId&) override {
    return tenancy::TenantEraser::Report();
  }
  base::Result<storage::StoreProbe> probe(const base::TenantId&, const base::TenantId&,
                                          const storage::DatabaseKeysOf&) override {
    return storage::StoreProbe();
  }

 private:
  std::vector<IsolationMode> modes_;
};

class Isolation : public ::testing::Test {
 protected:
  Isolation() {
    auto add = [this](const char* name, std::vector<IsolationMode> modes) {
      platform.manager->add_backend(name, std::make_unique<Place>(std::move(modes)));
    };
    add("schemas", {IsolationMode::Hybrid});
    add("databases", {IsolationMode::Hybrid, IsolationMode::Silo});
    add("rows", {IsolationMode::Pooled});
  }
  // What is said against it; "" for nothing.
  std::string refusal(IsolationMode mode, const std::string& store, EngineMode engine) {
    tenancy::TenantPolicy policy;
    policy.store = store;
    policy.engine.engine = engine;
    auto given = check_isolation(config, *platform.manager, mode, policy);
    if (!given) EXPECT_EQ(map_error(given.error()).status, 400);
    return given ? "" : given.error().message();
  }
  storage::TemporaryFolder folder;
  storage::TestPlatform platform{folder.path() / "data"};
  Config config;
};

TEST_F(Isolation, ASiloNeedsAnEngineAndAStoreOfItsOwn) {
  EXPECT_EQ(refusal(IsolationMode::Silo, "", EngineMode::Dedicated), "");
  EXPECT_EQ(refusal(IsolationMode::Silo, "databases", EngineMode::Dedicated), "");
  EXPECT_NE(refusal(IsolationMode::Silo, "", EngineMode::Shared).find("\"dedicated\""), std::string::npos);
  for (const char* shared : {"schemas", "rows"}) {
    EXPECT_NE(refusal(IsolationMode::Silo, shared, EngineMode::Dedicated).find("can't give"),
              std::string::npos)
        << shared;
  }
}

TEST_F(Isolation, ADeploymentWithoutWorkersOfItsOwnGivesNoSilo) {
  config.engine.external.urls = {"http://127.0.0.1:1"};
  EXPECT_NE(refusal(IsolationMode::Silo, "", EngineMode::Dedicated).find("[engine.chat]"), std::string::npos);
  EXPECT_EQ(refusal(IsolationMode::Hybrid, "", EngineMode::Shared), "") << "the others it gives";
  EXPECT_EQ(refusal(IsolationMode::Pooled, "rows", EngineMode::Shared), "");
  config.engine.external.urls.clear();
  config.engine.dedicated_max = 0;
  EXPECT_NE(refusal(IsolationMode::Silo, "", EngineMode::Dedicated).find("dedicated_max"), std::string::npos);
  config.engine.dedicated_max = 1;
  EXPECT_EQ(refusal(IsolationMode::Silo, "", EngineMode::Dedicated), "") << "control";
}

TEST_F(Isolation, PooledNeedsRowLevelSecurityAndNoOtherModeGetsIt) {
  EXPECT_EQ(refusal(IsolationMode::Pooled, "rows", EngineMode::Shared), "");
  EXPECT_EQ(refusal(IsolationMode::Pooled, "rows", EngineMode::Dedicated), "") << "more is allowed";
  EXPECT_NE(refusal(IsolationMode::Pooled, "", EngineMode::Shared).find("row_level_security"),
            std::string::npos);
  EXPECT_NE(refusal(IsolationMode::Pooled, "schemas", EngineMode::Shared), "");
  EXPECT_NE(refusal(IsolationMode::Hybrid, "rows", EngineMode::Shared), "");
  EXPECT_EQ(refusal(IsolationMode::Hybrid, "schemas", EngineMode::Shared), "");
  EXPECT_NE(refusal(IsolationMode::Hybrid, "gone", EngineMode::Shared).find("no [[store]]"),
            std::string::npos);
}

TEST_F(Isolation, ASilosPolicyThatLeavesTheEngineOpenGetsItsOwn) {
  const auto filled = [](IsolationMode mode, std::string_view text) {
    const auto document = storage::must(base::json::Document::parse(text));
    auto policy = storage::must(tenancy::TenantPolicy::from_json(document.root()));
    fill_in_mode(mode, document.root(), policy);
    return policy.engine.engine;
  };
  EXPECT_EQ(filled(IsolationMode::Silo, "{}"), EngineMode::Dedicated);
  EXPECT_EQ(filled(IsolationMode::Silo, R"({"engine":{"batching":"exclusive"}})"), EngineMode::Dedicated);
  EXPECT_EQ(filled(IsolationMode::Silo, R"({"engine":{"engine":"shared"}})"), EngineMode::Shared)
      << "said aloud, it is refused rather than changed behind the operator's back";
  EXPECT_EQ(filled(IsolationMode::Hybrid, "{}"), EngineMode::Shared);
  EXPECT_EQ(filled(IsolationMode::Pooled, "{}"), EngineMode::Shared);
}

}  // namespace
}  // namespace bulkhead::gateway
