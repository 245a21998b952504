#include "apps/reindex_parts.h"

#include <future>

namespace bulkhead::apps {

using base::Result;

namespace {

constexpr std::string_view kSpacesSetting = "embedding-spaces";
constexpr std::chrono::seconds kInterval{2};

base::Task<void> finish(engine::EnginePool& pool, std::string model, base::EmbeddingSpace space,
                        std::shared_ptr<std::promise<Result<void>>> done) {
  auto finished = co_await pool.finish_embedding(std::move(model), space);
  done->set_value(finished ? Result<void>() : Result<void>(finished.take_error()));
}

}  // namespace

ReindexParts::ReindexParts(Uses uses)
    : uses_(uses),
      rounds_(kInterval, [this](const std::function<bool()>& ending) { reembedder_->run_once(ending); }) {
  rag::ReembedOptions options;
  options.embedding_model = uses_.config.engine.embedding.id;
  storage::PlatformDatabase& platform = uses_.platform;
  options.load = [&platform] { return platform.setting(kSpacesSetting); };
  options.save = [&platform](const std::string& text) { return platform.set_setting(kSpacesSetting, text); };
  options.switch_over = [this](const base::EmbeddingSpace& next) { return switch_over(next); };
  reembedder_ = std::make_unique<rag::Reembedder>(
      rag::Reembedder::Uses{uses_.upkeep, uses_.stores, uses_.tenants, uses_.engine.engine(), uses_.pools,
                            uses_.reactors.at(0)},
      std::move(options));
  reembedder_->on_event([this](const rag::ReembedEvent& event) { record(event); });
  rag::Reembedder& reembedder = *reembedder_;
  uses_.metrics.gauge("bulkhead_reindexing_tenants_left",
                      "Tenants whose documents are still to be indexed for another embedding model", {},
                      [&reembedder] {
                        const rag::ReembedProgress progress = reembedder.progress();
                        if (!progress.running) return 0.0;
                        return static_cast<double>(progress.tenants_total - progress.tenants_done);
                      });
}

void ReindexParts::start() { rounds_.start(); }

void ReindexParts::stop() {
  rounds_.stop();
  reembedder_->stop();
}

Result<void> ReindexParts::switch_over(const base::EmbeddingSpace& next) {
  engine::EnginePool* pool = uses_.engine.pool();
  if (!pool) return base::Error(engine::EngineError::ModelUnknown, "There is no such model here.");
  auto done = std::make_shared<std::promise<Result<void>>>();
  auto outcome = done->get_future();
  base::spawn(uses_.reactors.at(0), finish(*pool, uses_.config.engine.embedding.id, next, std::move(done)));
  return outcome.get();
}

void ReindexParts::record(const rag::ReembedEvent& event) {
  const rag::ReembedProgress& progress = event.progress;
  audit::Record entry;
  entry.time = uses_.clock.wall();
  entry.event = event.kind == rag::ReembedEvent::Kind::Begun ? audit::Event::ReindexingStarted
                                                             : audit::Event::DocumentsReindexed;
  entry.model = uses_.config.engine.embedding.id;
  entry.target = "space:" + event.space.hex();
  entry.note =
      std::to_string(progress.tenants_done) + " of " + std::to_string(progress.tenants_total) + " tenants";
  if (!progress.skipped.empty())
    entry.note += ", " + std::to_string(progress.skipped.size()) + " passed over";
  static_cast<void>(uses_.audit.append(entry));
}

}  // namespace bulkhead::apps
