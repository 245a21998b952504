#include "rag/reembedder.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

#include "base/log.h"
#include "crypto/key_provider.h"
#include "engine/fair_queue.h"
#include "rag/embedding.h"

namespace bulkhead::rag {

using base::Error;
using base::Result;
using base::Task;
using Spaces = std::vector<base::EmbeddingSpace>;

namespace {

constexpr std::size_t kFilesWaitingMax = 1'000'000;  // one a tenant
constexpr std::chrono::milliseconds kLookForEnd{100};

std::string name_of(const engine::EmbeddingSpaces& spaces) {
  return spaces.current.hex() + (spaces.next ? ">" + spaces.next->hex() : "");
}

// What came of one look at a tenant.
struct Outcome {
  bool skipped = false;  // it can't be opened
  bool failed = false;   // to be tried again
  bool changed = false;  // something was lacking, or too much
};

bool cannot_be_opened(const Error& error) {
  return error.as<tenancy::TenancyError>() || error.as<crypto::KeyProviderError>() ||
         error.is(storage::StorageError::TenantGone);
}

// A file whose chunks don't have exactly the wanted spaces.
struct Due {
  base::FileId file;
  bool lacks = false;  // one of them; else it only has one too many
};

bool has_exactly(const storage::ChunkVectors& vectors, const Spaces& wanted) {
  return std::equal(vectors.begin(), vectors.end(), wanted.begin(), wanted.end(),
                    [](const storage::SpaceVector& each, const base::EmbeddingSpace& space) {
                      return each.space == space;
                    });
}

bool has_all(const storage::ChunkVectors& vectors, const Spaces& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const base::EmbeddingSpace& space) {
    return storage::vector_in(vectors, space) != nullptr;
  });
}

void log_delay(const base::TenantId& tenant, const Error& error) {
  base::log::warning("reindexing_delayed", {{"tenant", std::string_view(tenant.str())},
                                            {"error", error.name().code},
                                            {"detail", std::string_view(error.detail())}});
}

}  // namespace

struct Reembedder::Impl {
  Uses uses;
  const ReembedOptions options;
  engine::FairQueue queue;
  base::CancelToken stopping;
  base::Gate gate;
  std::function<void(const ReembedEvent&)> listener;

  mutable std::mutex mutex;
  std::condition_variable ended;
  std::set<base::TenantId> active;
  std::map<base::TenantId, Outcome> outcomes;  // of those that `run_once` waits for
  std::set<base::TenantId> again;              // asked for while active
  ReembedProgress progress;
  std::string campaign;            // the spaces that `clean` is about
  std::set<base::TenantId> clean;  // tenants that were found to have exactly those
  bool looked_twice = false;       // a whole look after the last change found nothing to do
  bool lacking = false;            // of this campaign: something was embedded, not only dropped
  bool told = false;
  std::set<base::TenantId> passed_over;  // until they are back
  std::optional<std::string> settled;    // the spaces that everything was last found to have

  Impl(Uses u, ReembedOptions o)
      : uses(u), options(std::move(o)), queue(options.concurrent, kFilesWaitingMax) {}

  template <typename Work>
  auto on_store(const tenancy::TenantScope& scope, Work work)
      -> Task<std::invoke_result_t<Work, storage::TenantStore&>> {
    return storage::on_store(uses.stores, uses.pools, scope,
                             {.party = scope.tenant().str(), .background = true}, std::move(work));
  }

  Task<Result<std::vector<Due>>> due_files(tenancy::TenantScope scope, Spaces wanted) {
    auto due = co_await on_store(scope, [&](storage::TenantStore& store) -> Result<std::vector<Due>> {
      std::vector<Due> found;
      const auto look = [&](storage::ChunkKey, const base::FileId& file,
                            const storage::ChunkVectors& vectors) {
        if (has_exactly(vectors, wanted)) return;
        if (found.empty() || found.back().file != file) found.push_back({file, false});
        found.back().lacks = found.back().lacks || !has_all(vectors, wanted);
      };
      BULKHEAD_CHECK_OK(store.for_each_vector(scope, look));
      return found;
    });
    co_return std::move(due);
  }

  // The vectors that a file's chunks are to have: those that are there, and the lacking ones made.
  Task<Result<void>> complete(engine::CallContext context, storage::TenantStore::FileChunks& chunks,
                              const Spaces& wanted) {
    std::vector<storage::ChunkVectors> vectors(chunks.chunks.size());
    for (const base::EmbeddingSpace& space : wanted) {
      const bool there = std::all_of(chunks.vectors.begin(), chunks.vectors.end(), [&](const auto& each) {
        return storage::vector_in(each, space) != nullptr;
      });
      std::vector<std::vector<float>> made;
      if (!there) {
        std::vector<std::string> texts;
        for (const storage::Chunk& chunk : chunks.chunks) texts.push_back(embedding_text(chunk));
        auto embedded = co_await embed_texts(uses.engine, context, options.embedding_model, std::move(texts),
                                             space, options.embed_batch, TooLong::EmbedHead);
        if (!embedded) co_return embedded.take_error();
        made = std::move(*embedded);
      }
      for (std::size_t i = 0; i < vectors.size(); ++i) {
        vectors[i].push_back(
            {space, there ? storage::vector_in(chunks.vectors[i], space)->vector : std::move(made[i])});
      }
    }
    chunks.vectors = std::move(vectors);
    co_return Result<void>();
  }

  Task<Result<void>> do_file(tenancy::TenantScope scope, base::FileId file, Spaces wanted,
                             base::CancelToken cancel) {
    auto place = co_await queue.enter(scope.tenant(), cancel);
    if (!place) co_return place.take_error();
    auto chunks =
        co_await on_store(scope, [&](storage::TenantStore& store) { return store.file_chunks(scope, file); });
    if (!chunks) co_return chunks.take_error();
    if (chunks->batch == 0) co_return Result<void>();
    BULKHEAD_CO_CHECK_OK(co_await complete(
        engine::CallContext{scope, "reindex", file.str(), cancel, engine::Priority::Maintenance}, *chunks,
        wanted));
    co_return co_await on_store(scope, [&](storage::TenantStore& store) {
      return store.put_vectors(scope, file, chunks->batch, chunks->vectors);
    });
  }

  Task<Outcome> do_tenant(base::TenantId tenant, base::CancelToken cancel) {
    Outcome outcome;
    auto scope = co_await uses.pools.opening(tenant).run({.party = tenant.str(), .background = true},
                                                         [&] { return uses.upkeep.scope(tenant); });
    if (!scope) {
      outcome.skipped = cannot_be_opened(scope.error());
      outcome.failed = !outcome.skipped;
      if (outcome.failed) log_delay(tenant, scope.error());
      co_return outcome;
    }
    const base::CancelToken cut = scope->cancel_token();
    auto on_cut = cut.on_cancel([cancel, cut] { cancel.cancel(cut.reason()); });
    const engine::EmbeddingSpaces spaces = uses.engine.embedding_spaces(options.embedding_model);
    const Spaces wanted = wanted_spaces(spaces);
    if (!spaces.current.known()) co_return outcome;
    auto due = co_await due_files(*scope, wanted);
    if (!due) {
      outcome.failed = true;
      if (!cancel.cancelled()) log_delay(tenant, due.error());
      co_return outcome;
    }
    outcome.changed = !due->empty();
    for (const Due& each : *due) {
      if (each.lacks) note_lacking(spaces);
      auto done = co_await do_file(*scope, each.file, wanted, cancel);
      // Deleted meanwhile: nothing lacks any more.
      if (done || done.error().is(storage::StorageError::NotFound)) continue;
      outcome.failed = true;
      if (!cancel.cancelled()) log_delay(tenant, done.error());
      co_return outcome;
    }
    co_return outcome;
  }

  static Task<void> work(std::shared_ptr<Impl> self, base::Gate::Pass pass, base::TenantId tenant) {
    static_cast<void>(pass);
    base::CancelToken cancel;
    auto on_stop = self->stopping.on_cancel([cancel] { cancel.cancel(base::CancelReason::Shutdown); });
    Outcome outcome = co_await self->do_tenant(tenant, cancel);
    // What was asked for meanwhile: a search found something that this look came too early for.
    while (!outcome.failed && !outcome.skipped && self->take_again(tenant)) {
      const Outcome more = co_await self->do_tenant(tenant, cancel);
      outcome = {more.skipped, more.failed, outcome.changed || more.changed};
    }
    std::lock_guard lock(self->mutex);
    self->active.erase(tenant);
    self->again.erase(tenant);
    self->outcomes[tenant] = outcome;
    self->ended.notify_all();
  }

  bool take_again(const base::TenantId& tenant) {
    std::lock_guard lock(mutex);
    return again.erase(tenant) > 0;
  }

  void start(const base::TenantId& tenant, bool asked) {
    auto pass = gate.enter();
    if (!pass) return;
    {
      std::lock_guard lock(mutex);
      if (!active.insert(tenant).second) {
        if (asked) again.insert(tenant);
        return;
      }
      outcomes.erase(tenant);
    }
    base::spawn(uses.executor, work(shared, std::move(*pass), tenant));
  }
  std::shared_ptr<Impl> shared;  // itself, until it is stopped

  void tell(ReembedEvent::Kind kind, const base::EmbeddingSpace& space) {
    ReembedEvent event{kind, space, {}};
    {
      std::lock_guard lock(mutex);
      event.progress = progress;
    }
    if (listener) listener(event);
  }

  void note_lacking(const engine::EmbeddingSpaces& spaces) {
    {
      std::lock_guard lock(mutex);
      lacking = true;
      if (std::exchange(told, true)) return;
    }
    tell(ReembedEvent::Kind::Begun, spaces.next.value_or(spaces.current));
  }

  struct Round {
    std::vector<base::TenantId> left;  // tenants that are still to be looked at
    bool whole = false;                // that is all of them
  };

  Round begin_look(const std::string& name) {
    Round round;
    const std::vector<tenancy::Tenant> tenants = uses.tenants.list();
    std::lock_guard lock(mutex);
    if (std::exchange(campaign, name) != name) {
      clean.clear();
      looked_twice = lacking = told = false;
    }
    progress = {.running = true, .tenants_total = 0, .tenants_done = 0, .skipped = {}};
    for (const tenancy::Tenant& tenant : tenants) {
      if (tenant.state == tenancy::TenantState::Suspended) {
        progress.skipped.push_back(tenant.id.str());
        passed_over.insert(tenant.id);
      }
      if (tenant.state != tenancy::TenantState::Active) continue;
      ++progress.tenants_total;
      if (clean.contains(tenant.id)) {
        ++progress.tenants_done;
      } else {
        round.left.push_back(tenant.id);
      }
    }
    round.whole = progress.tenants_done == 0;
    return round;
  }

  struct Look {
    bool failed = false;
    bool changed = false;
  };

  // Takes in what ended; the lock is held.
  void collect(std::set<base::TenantId>& waited, Look& look) {
    for (auto each = waited.begin(); each != waited.end();) {
      const auto found = outcomes.find(*each);
      if (found == outcomes.end()) {
        ++each;
        continue;
      }
      const Outcome& outcome = found->second;
      look.failed = look.failed || outcome.failed;
      look.changed = look.changed || outcome.changed;
      if (outcome.skipped) {
        progress.skipped.push_back(each->str());
        passed_over.insert(*each);
        --progress.tenants_total;
      } else if (!outcome.failed) {
        clean.insert(*each);
        ++progress.tenants_done;
      }
      outcomes.erase(found);
      each = waited.erase(each);
    }
  }

  Look look_through(const std::vector<base::TenantId>& tenants, const std::function<bool()>& ending) {
    Look look;
    std::set<base::TenantId> waited;
    std::size_t next = 0;
    while ((next < tenants.size() || !waited.empty()) && !ending()) {
      while (next < tenants.size() && waited.size() < options.tenants_at_once) {
        waited.insert(tenants[next]);
        start(tenants[next++], false);
      }
      std::unique_lock lock(mutex);
      ended.wait_for(lock, kLookForEnd, [&] {
        return std::any_of(waited.begin(), waited.end(),
                           [&](const auto& id) { return outcomes.contains(id); });
      });
      collect(waited, look);
    }
    return look;
  }

  void end_look() {
    std::lock_guard lock(mutex);
    progress.running = false;
  }

  // Nothing lacks any more in what can be opened.
  void finish(const engine::EmbeddingSpaces& spaces, const std::string& name) {
    bool embedded = false;
    {
      std::lock_guard lock(mutex);
      embedded = lacking;
      for (const std::string& tenant : progress.skipped) {
        base::log::warning("reindexing_skipped", {{"tenant", std::string_view(tenant)}});
      }
    }
    if (spaces.next) {
      auto switched = options.switch_over(*spaces.next);
      if (!switched) {
        base::log::warning("embedding_switch_delayed",
                           {{"error", switched.error().name().code},
                            {"detail", std::string_view(switched.error().detail())}});
        return;
      }
    } else {
      auto saved = options.save(name);
      if (!saved) {
        base::log::warning("reindexing_not_noted", {{"detail", std::string_view(saved.error().detail())}});
        return;
      }
      settled = name;
      end_look();
    }
    if (spaces.next || embedded) {
      tell(ReembedEvent::Kind::Completed, spaces.next.value_or(spaces.current));
    }
  }

  void run_once(const std::function<bool()>& ending) {
    const engine::EmbeddingSpaces spaces = uses.engine.embedding_spaces(options.embedding_model);
    if (!spaces.current.known()) return;
    const std::string name = name_of(spaces);
    if (!settled) {
      auto kept = options.load();
      if (!kept) return;
      settled = kept->value_or("");
    }
    if (*settled == name) return;
    const Round round = begin_look(name);
    if (spaces.next) {
      bool first = false;
      {
        std::lock_guard lock(mutex);
        first = !std::exchange(told, true);
      }
      if (first) tell(ReembedEvent::Kind::Begun, *spaces.next);
    }
    const Look look = look_through(round.left, ending);
    if (ending() || look.failed) return;
    {
      std::lock_guard lock(mutex);
      // Before anybody is sent to the new space, one look through all that finds nothing to do.
      if (spaces.next && (look.changed || !looked_twice)) {
        looked_twice = !look.changed && round.whole;
        if (!looked_twice) {
          clean.clear();
          return;
        }
      }
    }
    if (uses.engine.embedding_spaces(options.embedding_model) != spaces) return;
    finish(spaces, name);
  }
};

Reembedder::Reembedder(Uses uses, ReembedOptions options)
    : impl_(std::make_shared<Impl>(uses, std::move(options))) {
  impl_->shared = impl_;
}
Reembedder::~Reembedder() { stop(); }

void Reembedder::start(const base::TenantId& tenant) { impl_->start(tenant, true); }
void Reembedder::came_back(const base::TenantId& tenant) {
  {
    std::lock_guard lock(impl_->mutex);
    if (impl_->passed_over.erase(tenant) == 0) return;
  }
  impl_->start(tenant, true);
}

void Reembedder::run_once(const std::function<bool()>& stopping) { impl_->run_once(stopping); }

ReembedProgress Reembedder::progress() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->progress;
}

void Reembedder::on_event(std::function<void(const ReembedEvent&)> listener) {
  impl_->listener = std::move(listener);
}

void Reembedder::stop() {
  impl_->stopping.cancel(base::CancelReason::Shutdown);
  impl_->gate.close();
  impl_->shared.reset();
}

}  // namespace bulkhead::rag
