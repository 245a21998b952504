#include "rag/ingest.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>

#include "base/log.h"
#include "rag/chunker.h"
#include "rag/piece_embedder.h"

namespace bulkhead::rag {

using base::Error;
using base::Result;
using base::Task;

namespace {

// Whether a document is still wanted is asked of the store once in so many windows: what is deleted through
// the gateway is cancelled at once, this is for what goes another way (an erasure).
constexpr std::size_t kWindowsUnasked = 16;
constexpr std::chrono::seconds kFirstWait{1}, kLongestWait{60};
// A worker that died may have died of this very file.
constexpr int kDeathsMax = 2;

// What the file's owner is told, in OpenAI's two code words.
struct Reason {
  std::string code, message;
};

Reason reason_of(const Error& error) {
  auto extract = error.as<ExtractError>();
  if (error.is(storage::StorageError::QuotaExceeded)) return {"server_error", error.message()};
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

// The engine was lost over it, and so may the next one be.
bool lost_an_engine(const Error& error) {
  return error.is(engine::EngineError::Failed) || error.is(engine::EngineError::TimedOut);
}
// A document's text, cut.
struct Pieces {
  std::string title;
  std::vector<PieceOfText> pieces;
  std::string report;  // ExtractionReport::to_json
};

// An attachment that is being worked on.
struct Active {
  base::VectorStoreId store;
  base::FileId file;
  base::CancelToken cancel;
  std::optional<storage::AttachmentRecord> again;  // attached anew after it was cancelled
};

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
  storage::StorePools& pools;
  const base::Clock& clock;
  const IngestOptions options;
  engine::FairQueue extraction;
  std::vector<std::unique_ptr<engine::FairQueue>> lanes;  // by size, smallest first
  base::CancelToken stopping;
  base::Gate gate;
  std::mutex mutex;
  std::map<std::string, Active> active;                            // tenant/store/file
  std::map<base::TenantId, std::map<std::string, LeftOver>> left;  // by the same keys
  std::atomic<std::size_t> left_count{0};

  Impl(storage::StoreManager& s, engine::Engine& e, Extractor& x, storage::StorePools& p,
       const base::Clock& c, IngestOptions o)
      : stores(s),
        engine(e),
        extractor(x),
        pools(p),
        clock(c),
        options(std::move(o)),
        // One tenant leaves a permit to others, so that a document that takes long to read delays only its
        // own.
        extraction(options.concurrent, options.waiting_per_tenant,
                   std::max<std::size_t>(options.concurrent, 2) - 1) {
    for (const IngestLane& lane : options.lanes) {
      lanes.push_back(std::make_unique<engine::FairQueue>(lane.documents_max, options.waiting_per_tenant,
                                                          lane.tenant_max));
    }
  }

  static std::string prefix_of(const base::TenantId& tenant) { return tenant.str() + "/"; }
  static std::string key_of(const tenancy::TenantScope& scope, const storage::AttachmentRecord& attachment) {
    return prefix_of(scope.tenant()) + attachment.store.str() + "/" + attachment.file.str();
  }

  template <typename Work>
  auto on_store(const tenancy::TenantScope& scope, Work work)
      -> Task<std::invoke_result_t<Work, storage::TenantStore&>> {
    return storage::on_store(stores, pools, scope, {.party = scope.tenant().str(), .background = true},
                             std::move(work));
  }

  // The text of a file. Only this holds a permit for extraction.
  Task<Result<Pieces>> read_pieces(tenancy::TenantScope scope, storage::FileRecord file,
                                   base::CancelToken cancel) {
    auto permit = co_await extraction.enter(scope.tenant(), cancel);
    if (!permit) co_return permit.take_error();
    auto content =
        co_await on_store(scope, [&](storage::TenantStore& s) { return s.file_content(scope, file.id); });
    if (!content) co_return content.take_error();
    auto document = co_await extractor.extract(file.name, std::move(*content), cancel);
    if (!document) co_return document.take_error();
    Pieces out{.title = document->title.empty() ? file.name : document->title,
               .pieces = {},
               .report = document->report.to_json(document->type, document->characters)};
    auto cut =
        co_await pools.requests(scope.tenant())
            .run({.party = scope.tenant().str(), .cancel = cancel, .background = true},
                 [&document]() -> Result<std::vector<PieceOfText>> { return chunk_document(*document); });
    if (!cut) co_return cut.take_error();
    out.pieces = std::move(*cut);
    if (out.pieces.empty()) {
      co_return Error(ExtractError::InvalidFile, "The file holds no text that can be searched.");
    }
    co_return std::move(out);
  }

  // Cancels the work of an attachment that is there no more.
  Task<Result<void>> still_wanted(tenancy::TenantScope scope, storage::AttachmentRecord attachment,
                                  base::CancelToken cancel) {
    auto found = co_await on_store(scope, [&](storage::TenantStore& s) {
      return s.get_attachment(scope, attachment.store, attachment.file);
    });
    if (!found && found.error().is(storage::StorageError::NotFound))
      cancel.cancel(base::CancelReason::Abandoned);
    if (!found) co_return found.take_error();
    co_return Result<void>();
  }

  // A window of pieces after the other, so that other tenants' and other files' turns come in between. The
  // file becomes searchable as a whole, at the end.
  Task<Result<std::uint32_t>> index_pieces(tenancy::TenantScope scope, storage::AttachmentRecord attachment,
                                           Pieces read, base::CancelToken cancel) {
    const base::FileId file = attachment.file;
    engine::CallContext context{scope, "ingest", file.str(), cancel, engine::Priority::Background};
    const PieceEmbedding how{options.embedding_model, options.chunk_tokens_max, options.embed_batch};
    EmbeddedDocument made;
    std::size_t windows = 0;
    for (std::size_t begin = 0; begin < read.pieces.size(); begin += options.embed_batch) {
      const std::size_t end = std::min(read.pieces.size(), begin + options.embed_batch);
      std::vector<PieceOfText> window(
          std::make_move_iterator(read.pieces.begin() + static_cast<std::ptrdiff_t>(begin)),
          std::make_move_iterator(read.pieces.begin() + static_cast<std::ptrdiff_t>(end)));
      if (++windows % kWindowsUnasked == 0) {
        BULKHEAD_CO_CHECK_OK(co_await still_wanted(scope, attachment, cancel));
      }
      if (cancel.cancelled()) co_return Error(engine::EngineError::Cancelled, "The ingest was cancelled.");
      BULKHEAD_CO_CHECK_OK(
          co_await embed_window(engine, context, how, file, read.title, std::move(window), made));
    }
    auto stored = co_await on_store(scope, [&](storage::TenantStore& s) -> Result<void> {
      BULKHEAD_CHECK_OK(s.replace_chunks(scope, file, made.chunks, made.vectors));
      return s.set_file_status(scope, file, storage::FileStatus::Processed, read.report);
    });
    if (!stored) co_return stored.take_error();
    co_return static_cast<std::uint32_t>(made.chunks.size());
  }

  std::size_t lane_of(std::uint64_t bytes, std::size_t pieces) const {
    std::size_t lane = 0;
    while (lane + 1 < lanes.size() &&
           (bytes > options.lanes[lane].bytes_max || pieces > options.lanes[lane].pieces_max)) {
      ++lane;
    }
    return lane;
  }

  // The number of the file's chunks, made when there are none yet; 0 when they are there.
  Task<Result<std::uint32_t>> chunks_of(tenancy::TenantScope scope, storage::AttachmentRecord attachment,
                                        base::CancelToken cancel) {
    const base::FileId file = attachment.file;
    auto record = co_await on_store(scope, [&](storage::TenantStore& s) { return s.get_file(scope, file); });
    if (!record) co_return record.take_error();
    std::size_t lane = lane_of(record->bytes, 0);
    while (true) {
      auto permit = co_await lanes[lane]->enter(scope.tenant(), cancel);
      if (!permit) co_return permit.take_error();
      // Perhaps made meanwhile, for another vector store.
      auto indexed =
          co_await on_store(scope, [&](storage::TenantStore& s) { return s.has_chunks(scope, file); });
      if (!indexed) co_return indexed.take_error();
      if (*indexed) co_return std::uint32_t{0};
      auto read = co_await read_pieces(scope, *record, cancel);
      if (!read) co_return read.take_error();
      // A small file can hold a large text. It is read once more when its turn among the large ones comes.
      const std::size_t needed = lane_of(record->bytes, read->pieces.size());
      if (needed == lane) co_return co_await index_pieces(scope, attachment, std::move(*read), cancel);
      lane = needed;
    }
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
    if (!lost_an_engine(error)) return false;
    std::lock_guard lock(mutex);
    auto& mine = left[tenant];
    const auto found = mine.find(key);
    return (found == mine.end() ? 0 : found->second.deaths) < kDeathsMax;
  }

  // Only here, so that what is over at one attempt is never kept for another. Beyond the bound nothing
  // is noted: it stays InProgress until somebody looks at it. Gives what is to be done at once.
  std::optional<storage::AttachmentRecord> note(const base::TenantId& tenant, const std::string& key,
                                                storage::AttachmentRecord attachment, bool over, bool died) {
    std::lock_guard lock(mutex);
    Active& mine_now = active.find(key)->second;
    std::optional<storage::AttachmentRecord> again = std::exchange(mine_now.again, std::nullopt);
    if (again) {
      mine_now.cancel = base::CancelToken();
    } else {
      active.erase(key);
    }
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
    return again;
  }

  // Cancels what is done for the attachments that `is_meant` names.
  template <typename Meant>
  void cancel_some(const base::TenantId& tenant, Meant is_meant) {
    std::vector<base::CancelToken> cancelled;
    {
      std::lock_guard lock(mutex);
      const std::string prefix = prefix_of(tenant);
      for (auto each = active.lower_bound(prefix); each != active.end() && each->first.starts_with(prefix);
           ++each) {
        if (is_meant(each->second)) cancelled.push_back(each->second.cancel);
      }
    }
    for (const base::CancelToken& each : cancelled) each.cancel(base::CancelReason::Abandoned);
  }

  base::CancelToken token_of(const std::string& key) {
    std::lock_guard lock(mutex);
    return active.find(key)->second.cancel;
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
    std::optional<storage::AttachmentRecord> next = std::move(attachment);
    while (next) {
      const base::CancelToken cancel = self->token_of(key);
      auto on_stop = self->stopping.on_cancel([cancel] { cancel.cancel(base::CancelReason::Shutdown); });
      const base::CancelToken cut = scope.cancel_token();
      auto on_cut = cut.on_cancel([cancel, cut] { cancel.cancel(cut.reason()); });
      auto chunks = co_await self->chunks_of(scope, *next, cancel);
      bool over = true;
      const bool died = !chunks && lost_an_engine(chunks.error());
      // Cut short: it is gone, or stays InProgress and is taken up again by a later request that looks at it.
      if (!cancel.cancelled()) {
        over = (chunks || !self->another_time(scope.tenant(), key, chunks.error())) &&
               co_await self->finish(scope, *next, std::move(chunks));
      }
      next = self->note(scope.tenant(), key, std::move(*next), over, died);
    }
  }
};

Ingestor::Ingestor(storage::StoreManager& stores, engine::Engine& engine, Extractor& extractor,
                   storage::StorePools& pools, const base::Clock& clock, IngestOptions options)
    : impl_(std::make_shared<Impl>(stores, engine, extractor, pools, clock, std::move(options))) {}
Ingestor::~Ingestor() { stop(); }

void Ingestor::start(const tenancy::TenantScope& scope, storage::AttachmentRecord attachment) {
  base::Executor* executor = base::Executor::current();
  std::string key = Impl::key_of(scope, attachment);
  auto pass = impl_->gate.enter();
  if (!pass || !executor) return;
  {
    std::lock_guard lock(impl_->mutex);
    auto [mine, fresh] = impl_->active.try_emplace(key, Active{attachment.store, attachment.file, {}, {}});
    if (!fresh) {
      if (mine->second.cancel.cancelled()) mine->second.again = std::move(attachment);
      return;
    }
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

void Ingestor::detached(const base::TenantId& tenant, const base::VectorStoreId& store,
                        const base::FileId& file) {
  impl_->cancel_some(tenant, [&](const Active& each) { return each.store == store && each.file == file; });
}

void Ingestor::file_deleted(const base::TenantId& tenant, const base::FileId& file) {
  impl_->cancel_some(tenant, [&](const Active& each) { return each.file == file; });
}

void Ingestor::store_deleted(const base::TenantId& tenant, const base::VectorStoreId& store) {
  impl_->cancel_some(tenant, [&](const Active& each) { return each.store == store; });
}

void Ingestor::forget(const base::TenantId& tenant) {
  std::lock_guard lock(impl_->mutex);
  impl_->left.erase(tenant);
  impl_->count_left();
}

void Ingestor::stop() {
  impl_->stopping.cancel(base::CancelReason::Shutdown);
  impl_->gate.close();
}

std::size_t Ingestor::running() const { return impl_->gate.inside(); }

}  // namespace bulkhead::rag
