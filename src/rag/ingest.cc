#include "rag/ingest.h"

#include <mutex>
#include <set>

#include "base/log.h"
#include "rag/chunker.h"

namespace bulkhead::rag {

using base::Error;
using base::Result;
using base::Task;

namespace {

constexpr int kSplitRoundsMax = 6;
constexpr std::size_t kTokenizeBatch = 256;

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
  std::set<std::string> active;  // tenant/store/file

  Impl(storage::StoreManager& s, engine::Engine& e, Extractor& x, base::BlockingPool& p, const base::Clock& c,
       IngestOptions o)
      : stores(s), engine(e), extractor(x), pool(p), clock(c), options(std::move(o)),
        queue(options.concurrent, options.waiting_per_tenant) {}

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

  Task<Result<std::vector<std::vector<float>>>> embed_all(engine::CallContext context,
                                                          const std::string& title,
                                                          const std::vector<PieceOfText>& pieces) {
    std::vector<std::vector<float>> vectors;
    for (std::size_t begin = 0; begin < pieces.size(); begin += options.embed_batch) {
      std::size_t end = std::min(pieces.size(), begin + options.embed_batch);
      std::vector<std::string> texts;
      for (std::size_t i = begin; i < end; ++i) texts.push_back(embedding_text(title, pieces[i]));
      auto batch = co_await engine.embed(context, options.embedding_model, std::move(texts));
      if (!batch) co_return batch.take_error();
      for (auto& vector : *batch) vectors.push_back(std::move(vector));
    }
    co_return std::move(vectors);
  }

  // The number of the file's chunks, made when there are none yet.
  Task<Result<std::uint32_t>> index_file(tenancy::TenantScope scope, base::FileId file, base::CancelToken cancel) {
    auto record = co_await on_store(scope, [&](storage::TenantStore& s) { return s.get_file(scope, file); });
    if (!record) co_return record.take_error();
    auto content = co_await on_store(scope, [&](storage::TenantStore& s) { return s.file_content(scope, file); });
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

  Task<Result<std::uint32_t>> chunks_of(tenancy::TenantScope scope, base::FileId file, base::CancelToken cancel) {
    auto indexed = co_await on_store(scope, [&](storage::TenantStore& s) { return s.has_chunks(scope, file); });
    if (!indexed) co_return indexed.take_error();
    if (*indexed) co_return std::uint32_t{0};
    auto place = co_await queue.enter(scope.tenant(), cancel);
    if (!place) co_return place.take_error();
    co_return co_await index_file(scope, file, cancel);
  }

  static Task<void> work(std::shared_ptr<Impl> self, base::Gate::Pass pass, tenancy::TenantScope scope,
                         storage::AttachmentRecord attachment, std::string key) {
    static_cast<void>(pass);
    base::CancelToken cancel;
    auto on_stop = self->stopping.on_cancel([cancel] { cancel.cancel("shutdown"); });
    auto on_cut = scope.cancel_token().on_cancel([cancel] { cancel.cancel("tenant_cut"); });
    auto chunks = co_await self->chunks_of(scope, attachment.file, cancel);
    // Cut short: it stays InProgress and is taken up again by a later request.
    if (!cancel.cancelled()) {
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
      auto stored = co_await self->on_store(
          scope, [&](storage::TenantStore& s) { return s.put_attachment(scope, attachment); });
      if (!stored && !stored.error().is(storage::StorageError::NotFound)) {
        base::log::error("ingest_not_recorded", {{"detail", std::string_view(stored.error().detail())}});
      }
    }
    std::lock_guard lock(self->mutex);
    self->active.erase(key);
  }
};

Ingestor::Ingestor(storage::StoreManager& stores, engine::Engine& engine, Extractor& extractor,
                   base::BlockingPool& pool, const base::Clock& clock, IngestOptions options)
    : impl_(std::make_shared<Impl>(stores, engine, extractor, pool, clock, std::move(options))) {}
Ingestor::~Ingestor() { stop(); }

void Ingestor::start(const tenancy::TenantScope& scope, storage::AttachmentRecord attachment) {
  base::Executor* executor = base::Executor::current();
  std::string key = scope.tenant().str() + "/" + attachment.store.str() + "/" + attachment.file.str();
  auto pass = impl_->gate.enter();
  if (!pass || !executor) return;
  {
    std::lock_guard lock(impl_->mutex);
    if (!impl_->active.insert(key).second) return;
  }
  base::spawn(*executor, Impl::work(impl_, std::move(*pass), scope, std::move(attachment), std::move(key)));
}

void Ingestor::stop() {
  impl_->stopping.cancel("shutdown");
  impl_->gate.close();
}

std::size_t Ingestor::running() const { return impl_->gate.inside(); }

}  // namespace bulkhead::rag
