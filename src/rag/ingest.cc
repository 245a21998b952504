#include "rag/ingest.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>

#include "base/log.h"
#include "rag/chunker.h"
#include "rag/embedding.h"

namespace bulkhead::rag {

using base::Error;
using base::Result;
using base::Task;

namespace {

constexpr int kSplitRoundsMax = 6;
constexpr std::size_t kTokenizeBatch = 256;
constexpr std::chrono::seconds kFirstWait{1}, kLongestWait{60};
// A worker that died may have died of this very file.
constexpr int kDeathsMax = 2;

// What the file's owner is told, in OpenAI's two code words.
struct Reason {
  std::string code, message;
};

Reason reason_of(const Error& error) {
  auto extract = error.as<ExtractError>();
  if (!extract) return {"server_error", "The file could not be indexed just now. Attach it again later."};
  switch (*extract) {
    case ExtractError::UnsupportedFile: return {"unsupported_file", error.message()};
    case ExtractError::InvalidFile:
    case ExtractError::Encrypted:
    case ExtractError::TooLarge: return {"invalid_file", error.message()};
    case ExtractError::Timeout:
    case ExtractError::Crashed: return {"invalid_file", "The file could not be read within its bounds."};
    case ExtractError::Unavailable:
    case ExtractError::Cancelled: break;
  }
  return {"server_error", "The file could not be indexed just now. Attach it again later."};
}

// Not the file's fault: the same may work in a moment.
bool is_passing(const Error& error) {
  for (auto code : {storage::StorageError::Unavailable, storage::StorageError::Busy}) {
    if (error.is(code)) return true;
  }
  for (auto code :
       {engine::EngineError::Unavailable, engine::EngineError::QueueFull, engine::EngineError::HeldOff}) {
    if (error.is(code)) return true;
  }
  return error.is(ExtractError::Unavailable);
}

// An attachment that is to be tried again.
struct LeftOver {
  storage::AttachmentRecord attachment;
  base::MonotonicTime not_before{};
  std::chrono::seconds wait = kFirstWait;
  int deaths = 0;
  bool running = false;
};

}  // namespace

struct Ingestor::Impl {
  storage::StoreManager& stores;
  engine::Engine& engine;
  Extractor& extractor;
  base::BlockingPool& pool;
  const base::Clock& clock;
  const IngestOptions options;
  engine::FairQueue queue;
  base::CancelToken stopping;
  base::Gate gate;
  std::mutex mutex;
  std::set<std::string> active;                                    // tenant/store/file
  std::map<base::TenantId, std::map<std::string, LeftOver>> left;  // by the same keys
  std::atomic<std::size_t> left_count{0};

  Impl(storage::StoreManager& s, engine::Engine& e, Extractor& x, base::BlockingPool& p, const base::Clock& c,
       IngestOptions o)
      : stores(s),
        engine(e),
        extractor(x),
        pool(p),
        clock(c),
        options(std::move(o)),
        queue(options.concurrent, options.waiting_per_tenant) {}

  static std::string key_of(const tenancy::TenantScope& scope, const storage::AttachmentRecord& attachment) {
    return scope.tenant().str() + "/" + attachment.store.str() + "/" + attachment.file.str();
  }

  template <typename Work>
  auto on_store(const tenancy::TenantScope& scope, Work work)
      -> Task<std::invoke_result_t<Work, storage::TenantStore&>> {
    using R = std::invoke_result_t<Work, storage::TenantStore&>;
    if (auto over = stores.held_up(scope.tenant())) co_await *over;
    auto result = co_await pool.run([this, &scope, &work]() -> R {
      auto store = stores.open(scope);
      if (!store) return store.take_error();
      return work(**store);
    });
    co_return std::move(result);
  }

  // Pieces that the embedding model accepts: those over its bound are halved until they fit.
  Task<Result<std::vector<PieceOfText>>> fitting_pieces(engine::CallContext context, std::string title,
                                                        std::vector<PieceOfText> pieces) {
    for (int round = 0; round < kSplitRoundsMax; ++round) {
      std::vector<PieceOfText> next;
      bool split_any = false;
      for (std::size_t begin = 0; begin < pieces.size(); begin += kTokenizeBatch) {
        std::size_t end = std::min(pieces.size(), begin + kTokenizeBatch);
        std::vector<std::string> texts;
        for (std::size_t i = begin; i < end; ++i) texts.push_back(embedding_text(title, pieces[i]));
        auto counts = co_await engine.count_tokens(context, options.embedding_model, std::move(texts));
        if (!counts) co_return counts.take_error();
        for (std::size_t i = begin; i < end; ++i) {
          bool fits = (*counts)[i - begin] <= static_cast<std::int64_t>(options.chunk_tokens_max);
          std::vector<PieceOfText> halves;
          if (!fits) halves = split_piece(pieces[i]);
          if (halves.size() < 2) {
            next.push_back(std::move(pieces[i]));
          } else {
            split_any = true;
            for (PieceOfText& half : halves) next.push_back(std::move(half));
          }
        }
      }
      pieces = std::move(next);
      if (!split_any) break;
    }
    co_return std::move(pieces);
  }

  // Each piece's vectors in the spaces of the embedding model: two while another model takes its place. The
  // next one's are not waited for when it fails: they are made up for before anybody is sent there.
  Task<Result<std::vector<storage::ChunkVectors>>> embed_all(engine::CallContext context, std::string title,
                                                             const std::vector<PieceOfText>& pieces) {
    std::vector<std::string> texts;
    for (const PieceOfText& piece : pieces) texts.push_back(embedding_text(title, piece));
    const engine::EmbeddingSpaces spaces = engine.embedding_spaces(options.embedding_model);
    std::vector<storage::ChunkVectors> vectors(pieces.size());
    for (const base::EmbeddingSpace& space : wanted_spaces(spaces)) {
      const bool is_next = space != spaces.current;
      auto made = co_await embed_texts(engine, context, options.embedding_model, texts, space,
                                       options.embed_batch, is_next ? TooLong::EmbedHead : TooLong::Refuse);
      if (!made && is_next) {
        base::log::warning("ingest_without_next_model", {{"file", std::string_view(context.request_id)},
                                                         {"error", made.error().name().code}});
        continue;
      }
      if (!made) co_return made.take_error();
      for (std::size_t i = 0; i < vectors.size(); ++i) vectors[i].push_back({space, std::move((*made)[i])});
    }
    co_return std::move(vectors);
  }

  // The number of the file's chunks, made when there are none yet.
  Task<Result<std::uint32_t>> index_file(tenancy::TenantScope scope, base::FileId file,
                                         base::CancelToken cancel) {
    auto record = co_await on_store(scope, [&](storage::TenantStore& s) { return s.get_file(scope, file); });
    if (!record) co_return record.take_error();
    auto content =
        co_await on_store(scope, [&](storage::TenantStore& s) { return s.file_content(scope, file); });
    if (!content) co_return content.take_error();
    auto document = co_await extractor.extract(record->name, std::move(*content), cancel);
    if (!document) co_return document.take_error();
    std::string title = document->title.empty() ? record->name : document->title;

    engine::CallContext context{scope, "ingest", file.str(), cancel};
    auto pieces = co_await fitting_pieces(context, title, chunk_document(*document));
    if (!pieces) co_return pieces.take_error();
    if (pieces->empty()) {
      co_return Error(ExtractError::InvalidFile, "The file holds no text that can be searched.");
    }
    auto vectors = co_await embed_all(context, title, *pieces);
    if (!vectors) co_return vectors.take_error();

    std::vector<storage::Chunk> chunks;
    for (std::size_t i = 0; i < pieces->size(); ++i) {
      PieceOfText& piece = (*pieces)[i];
      std::string heading = title;
      if (!piece.heading.empty() && piece.heading != title) heading += " > " + piece.heading;
      chunks.push_back({.file = file,
                        .ordinal = static_cast<std::uint32_t>(i),
                        .text = std::move(piece.text),
                        .heading = std::move(heading),
                        .page = piece.page,
                        .begin = piece.begin,
                        .end = piece.end});
    }
    auto stored = co_await on_store(scope, [&](storage::TenantStore& s) -> Result<void> {
      BULKHEAD_CHECK_OK(s.replace_chunks(scope, file, chunks, *vectors));
      return s.set_file_status(scope, file, storage::FileStatus::Processed, "");
    });
    if (!stored) co_return stored.take_error();
    co_return static_cast<std::uint32_t>(chunks.size());
  }

  Task<Result<std::uint32_t>> chunks_of(tenancy::TenantScope scope, base::FileId file,
                                        base::CancelToken cancel) {
    auto indexed =
        co_await on_store(scope, [&](storage::TenantStore& s) { return s.has_chunks(scope, file); });
    if (!indexed) co_return indexed.take_error();
    if (*indexed) co_return std::uint32_t{0};
    auto place = co_await queue.enter(scope.tenant(), cancel);
    if (!place) co_return place.take_error();
    co_return co_await index_file(scope, file, cancel);
  }

  // Whether it is over: done, or failed and recorded so.
  Task<bool> finish(const tenancy::TenantScope& scope, storage::AttachmentRecord attachment,
                    Result<std::uint32_t> chunks) {
    if (chunks) {
      attachment.status = storage::AttachmentStatus::Completed;
      attachment.chunks = *chunks;
    } else {
      Reason reason = reason_of(chunks.error());
      attachment.status = storage::AttachmentStatus::Failed;
      attachment.error_code = std::move(reason.code);
      attachment.error_message = std::move(reason.message);
      base::log::warning("ingest_failed", {{"file", std::string_view(attachment.file.str())},
                                           {"error", chunks.error().name().code},
                                           {"detail", std::string_view(chunks.error().detail())}});
    }
    auto stored = co_await on_store(scope, [&](storage::TenantStore& s) -> Result<void> {
      // Detached meanwhile: it must not come back.
      BULKHEAD_CHECK_OK(s.get_attachment(scope, attachment.store, attachment.file));
      return s.put_attachment(scope, attachment);
    });
    if (!stored && is_passing(stored.error())) co_return false;
    if (!stored && !stored.error().is(storage::StorageError::NotFound)) {
      base::log::error("ingest_not_recorded", {{"detail", std::string_view(stored.error().detail())}});
    }
    co_return true;
  }

  // Whether to try again later.
  bool another_time(const base::TenantId& tenant, const std::string& key, const Error& error) {
    if (is_passing(error)) return true;
    if (!error.is(engine::EngineError::Failed)) return false;
    std::lock_guard lock(mutex);
    auto& mine = left[tenant];
    const auto found = mine.find(key);
    return (found == mine.end() ? 0 : found->second.deaths) < kDeathsMax;
  }

  // Only here, so that what is over at one attempt is never kept for another. Beyond the bound nothing
  // is noted: it stays InProgress until somebody looks at it.
  void note(const base::TenantId& tenant, const std::string& key, storage::AttachmentRecord attachment,
            bool over, bool died) {
    std::lock_guard lock(mutex);
    active.erase(key);
    auto& mine = left[tenant];
    if (over) {
      mine.erase(key);
    } else if (mine.contains(key) || mine.size() < options.waiting_per_tenant) {
      const auto [each, fresh] = mine.try_emplace(key, LeftOver{.attachment = std::move(attachment)});
      LeftOver& left_over = each->second;
      if (!fresh) left_over.wait = std::min(left_over.wait * 2, kLongestWait);
      left_over.deaths += died ? 1 : 0;
      left_over.running = false;
      left_over.not_before = clock.monotonic() + left_over.wait;
    }
    if (mine.empty()) left.erase(tenant);
    count_left();
  }

  // The lock is held.
  void count_left() {
    std::size_t count = 0;
    for (const auto& [tenant, attachments] : left) count += attachments.size();
    left_count = count;
  }

  static Task<void> work(std::shared_ptr<Impl> self, base::Gate::Pass pass, tenancy::TenantScope scope,
                         storage::AttachmentRecord attachment, std::string key) {
    static_cast<void>(pass);
    base::CancelToken cancel;
    auto on_stop = self->stopping.on_cancel([cancel] { cancel.cancel("shutdown"); });
    auto on_cut = scope.cancel_token().on_cancel([cancel] { cancel.cancel("tenant_cut"); });
    auto chunks = co_await self->chunks_of(scope, attachment.file, cancel);
    bool over = true;
    bool died = !chunks && chunks.error().is(engine::EngineError::Failed);
    // Cut short: it stays InProgress and is taken up again by a later request that looks at it.
    if (!cancel.cancelled()) {
      over = (chunks || !self->another_time(scope.tenant(), key, chunks.error())) &&
             co_await self->finish(scope, attachment, std::move(chunks));
    }
    self->note(scope.tenant(), key, std::move(attachment), over, died);
  }
};

Ingestor::Ingestor(storage::StoreManager& stores, engine::Engine& engine, Extractor& extractor,
                   base::BlockingPool& pool, const base::Clock& clock, IngestOptions options)
    : impl_(std::make_shared<Impl>(stores, engine, extractor, pool, clock, std::move(options))) {}
Ingestor::~Ingestor() { stop(); }

void Ingestor::start(const tenancy::TenantScope& scope, storage::AttachmentRecord attachment) {
  base::Executor* executor = base::Executor::current();
  std::string key = Impl::key_of(scope, attachment);
  auto pass = impl_->gate.enter();
  if (!pass || !executor) return;
  {
    std::lock_guard lock(impl_->mutex);
    if (!impl_->active.insert(key).second) return;
  }
  base::spawn(*executor, Impl::work(impl_, std::move(*pass), scope, std::move(attachment), std::move(key)));
}

void Ingestor::resume(const tenancy::TenantScope& scope, const storage::AttachmentRecord& attachment) {
  {
    std::lock_guard lock(impl_->mutex);
    if (const auto mine = impl_->left.find(scope.tenant()); mine != impl_->left.end()) {
      if (mine->second.contains(Impl::key_of(scope, attachment))) return;
    }
  }
  start(scope, attachment);
}

void Ingestor::take_up(const tenancy::TenantScope& scope) {
  if (impl_->left_count == 0) return;
  std::vector<storage::AttachmentRecord> due;
  {
    std::lock_guard lock(impl_->mutex);
    const auto mine = impl_->left.find(scope.tenant());
    if (mine == impl_->left.end()) return;
    const auto now = impl_->clock.monotonic();
    for (auto& [key, left_over] : mine->second) {
      if (left_over.running || left_over.not_before > now) continue;
      left_over.running = true;
      due.push_back(left_over.attachment);
    }
  }
  for (storage::AttachmentRecord& attachment : due) start(scope, std::move(attachment));
}

void Ingestor::forget(const base::TenantId& tenant) {
  std::lock_guard lock(impl_->mutex);
  impl_->left.erase(tenant);
  impl_->count_left();
}

void Ingestor::stop() {
  impl_->stopping.cancel("shutdown");
  impl_->gate.close();
}

std::size_t Ingestor::running() const { return impl_->gate.inside(); }

}  // namespace bulkhead::rag
