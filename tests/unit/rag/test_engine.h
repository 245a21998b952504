// An engine of the tests' own in the model's place: its vectors say which space they are of, and it notes who
// asked for them. A tenant's embeddings can be held, so that a test decides how far its documents get.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "storage/store_fixture.h"

namespace bulkhead::rag {

class TestEngine final : public engine::Engine {
 public:
  using Vectors = std::vector<std::vector<float>>;
  template <typename T>
  using Answer = base::Task<base::Result<T>>;

  Answer<std::unique_ptr<engine::ChatStream>> chat(engine::CallContext, engine::ChatRequest) override {
    co_return base::Error(engine::EngineError::Failed, "none");
  }
  Answer<engine::Embeddings> embed(engine::CallContext context, std::string, std::vector<std::string> texts,
                                   base::EmbeddingSpace space) override {
    const std::string tenant = context.scope.tenant().str();
    if (auto waits = held_by(tenant)) {
      auto cancelled = context.cancel.on_cancel([waits] { waits->set(); });
      co_await *waits;
      if (context.cancel.cancelled()) co_return base::Error(engine::EngineError::Cancelled, "cancelled");
    }
    std::lock_guard lock(mutex);
    ++calls;
    largest_batch = std::max(largest_batch, texts.size());
    priorities.insert(context.priority);
    for (const std::string& text : texts) {
      asked.insert(tenant);
      order.push_back(tenant);
      upkeep_only = upkeep_only && context.scope.principal().is_upkeep();
      if (failures > 0) {
        --failures;
        co_return base::Error(engine::EngineError::Unavailable, "The model is starting.");
      }
      if (text.size() > longest) co_return base::Error(engine::EngineError::ContextExceeded, "too long");
      embedded.insert(text);
    }
    co_return engine::Embeddings{
        Vectors(texts.size(), std::vector<float>(4, static_cast<float>(space.bytes[0]))), 0};
  }
  engine::EmbeddingSpaces embedding_spaces(const std::string&) const override {
    std::lock_guard lock(mutex);
    return spaces;
  }
  Answer<engine::Ranking> rerank(engine::CallContext, std::string, std::string,
                                 std::vector<std::string>) override {
    co_return engine::Ranking();
  }
  Answer<std::vector<std::int64_t>> count_tokens(engine::CallContext, std::string,
                                                 std::vector<std::string> texts) override {
    co_return std::vector<std::int64_t>(texts.size(), 1);
  }
  Answer<engine::BurnReport> burn_kept(engine::BurnTarget) override { co_return engine::BurnReport(); }
  std::vector<engine::ModelInfo> models() const override { return {}; }
  bool ready() const override { return true; }

  // From now on the tenant's embeddings wait until it is let go.
  void hold(const std::string& tenant) {
    std::lock_guard lock(mutex);
    held[tenant] = {};
  }
  void let_go(const std::string& tenant) {
    std::vector<std::shared_ptr<base::Event>> waiting;
    {
      std::lock_guard lock(mutex);
      waiting = std::move(held[tenant]);
      held.erase(tenant);
    }
    for (const auto& each : waiting) each->set();
  }
  std::size_t held_calls(const std::string& tenant) {
    std::lock_guard lock(mutex);
    return held.contains(tenant) ? held[tenant].size() : 0;
  }
  std::size_t embedded_of(const std::string& tenant) {
    std::lock_guard lock(mutex);
    return static_cast<std::size_t>(std::count(order.begin(), order.end(), tenant));
  }

  mutable std::mutex mutex;
  engine::EmbeddingSpaces spaces{.current = storage::sample_space(1), .next = std::nullopt};
  int failures = 0;
  std::size_t longest = 1'000'000, calls = 0, largest_batch = 0;
  bool upkeep_only = true;
  std::set<std::string> asked, embedded;
  std::set<engine::Priority> priorities;
  std::vector<std::string> order;  // the tenant of each text
  std::map<std::string, std::vector<std::shared_ptr<base::Event>>> held;

 private:
  std::shared_ptr<base::Event> held_by(const std::string& tenant) {
    std::lock_guard lock(mutex);
    const auto found = held.find(tenant);
    if (found == held.end()) return nullptr;
    return found->second.emplace_back(std::make_shared<base::Event>());
  }
};

}  // namespace bulkhead::rag
