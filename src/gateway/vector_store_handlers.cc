// /v1/vector_stores: create, list, get, update, delete, search. Files in them:
// vector_store_file_handlers.cc.
#include <algorithm>

#include "crypto/random.h"
#include "gateway/dto.h"
#include "gateway/file_access.h"
#include "gateway/generation.h"
#include "gateway/handlers.h"
#include "gateway/outcome.h"
#include "gateway/store_call.h"
#include "gateway/text_input.h"
#include "gateway/vector_store_dto.h"

namespace bulkhead::gateway {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kNameBytesMax = 256;
constexpr std::size_t kFilesAtOnceMax = 500;
constexpr std::size_t kQueryBytesMax = 8 << 10;
constexpr std::int64_t kSearchResultsMax = 50;
constexpr std::int64_t kSearchResultsDefault = 10;

struct StoreBody {
  std::optional<std::string> name, metadata;
  std::optional<bool> is_default;
  std::vector<base::FileId> files;
};

Result<StoreBody> parse_store_body(const json::Value& root, bool creating) {
  StoreBody body;
  ObjectReader reader(root);
  body.name = reader.text("name", kNameBytesMax);
  body.metadata = reader.metadata("metadata");
  reader.unsupported("expires_after", "vector stores don't expire here.");
  json::Value extension = reader.value("bulkhead");
  std::vector<std::string> files;
  if (creating) {
    files = reader.texts("file_ids", kFilesAtOnceMax, base::kIdBytesMax);
    reader.unsupported("chunking_strategy", "documents are cut along their own structure.");
    reader.unsupported("description", "use metadata.");
  }
  BULKHEAD_CHECK_OK(reader.finish());
  if (extension.exists()) {
    ObjectReader inner(extension, "bulkhead");
    body.is_default = inner.flag("default");
    BULKHEAD_CHECK_OK(inner.finish());
  }
  for (const std::string& text : files) {
    auto id = base::FileId::parse(text);
    if (!id) return not_found("file");
    if (std::find(body.files.begin(), body.files.end(), *id) != body.files.end()) continue;
    body.files.push_back(std::move(*id));
  }
  return body;
}

Error only_owner() {
  return api_error(ApiError::Forbidden, "Only the vector store's owner or an administrator may do this.");
}

Error only_admin_default() {
  return api_error(ApiError::Forbidden,
                   "Only an administrator may choose which vector stores plain chats search.",
                   "bulkhead.default");
}

Result<storage::VectorStoreRecord> find_store(storage::TenantStore& store, const tenancy::TenantScope& scope,
                                              const std::string& text) {
  auto id = base::VectorStoreId::parse(text);
  if (!id) return not_found("vector store");
  auto record = store.get_vector_store(scope, *id);
  if (!record && record.error().is(storage::StorageError::NotFound)) return not_found("vector store");
  return record;
}

// The store's record and its counts, as an answer.
base::Task<Result<std::string>> describe(Call& call, storage::VectorStoreRecord record) {
  auto attachments = co_await readable_attachments(call, record.id, false);
  if (!attachments) co_return attachments.take_error();
  co_return vector_store_json(call, record, count_attachments(*attachments));
}

}  // namespace

HandlerResult create_vector_store(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(document, read_optional_json_object(call.request()));
  BULKHEAD_CO_TRY(body, parse_store_body(document.root(), true));
  bool make_default = body.is_default.value_or(false);
  if (make_default && !has_permission(call, access::Permission::FilesManage)) {
    co_return only_admin_default();
  }
  storage::VectorStoreRecord record{.id = base::VectorStoreId::make(crypto::random_id())};
  record.name = body.name.value_or("");
  record.owner = call.principal->user();
  record.metadata_json = body.metadata.value_or("{}");
  record.created = record.last_active = call.services.clock.unix_seconds();
  record.is_default = make_default;
  call.record.target = record.id.str();
  std::vector<storage::AttachmentRecord> attached;
  auto made = co_await with_store(call, [&](storage::TenantStore& store, const auto& scope) -> Result<void> {
    // All files are checked before anything is made.
    for (const base::FileId& file : body.files) BULKHEAD_CHECK_OK(readable_file(call, store, file));
    BULKHEAD_CHECK_OK(store.put_vector_store(scope, record));
    for (const base::FileId& file : body.files) {
      storage::AttachmentRecord attachment{.store = record.id, .file = file};
      attachment.created = record.created;
      BULKHEAD_CHECK_OK(store.put_attachment(scope, attachment));
      attached.push_back(std::move(attachment));
    }
    return {};
  });
  if (!made) co_return made.take_error();
  // The maker may read them all.
  const AttachmentCounts counts = count_attachments(attached);
  for (storage::AttachmentRecord& attachment : attached) {
    call.services.ingestor.start(call.scope(), std::move(attachment));
  }
  co_return Reply::json(200, vector_store_json(call, record, counts));
}

HandlerResult list_vector_stores(Call& call) {
  BULKHEAD_CO_TRY(page, read_page(call.request()));
  std::size_t limit = page.limit;
  ++page.limit;
  std::vector<std::string> items, ids;
  auto records = co_await with_store(call, [&](storage::TenantStore& store, const auto& scope) {
    return store.list_vector_stores(scope, page);
  });
  if (!records) co_return records.take_error();
  for (std::size_t i = 0; i < std::min(limit, records->size()); ++i) {
    auto item = co_await describe(call, (*records)[i]);
    // Deleted since it was listed.
    if (!item && item.error().is(storage::StorageError::NotFound)) continue;
    if (!item) co_return item.take_error();
    items.push_back(std::move(*item));
    ids.push_back((*records)[i].id.str());
  }
  co_return Reply::json(200, list_body(items, ids, records->size() > limit));
}

HandlerResult get_vector_store(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  auto record = co_await with_store(call, [&](storage::TenantStore& store, const auto& scope) {
    return find_store(store, scope, call.captures[0]);
  });
  if (!record) co_return record.take_error();
  auto attachments = co_await readable_attachments(call, record->id, false);
  if (!attachments) co_return attachments.take_error();
  resume_unfinished(call, *attachments);
  co_return Reply::json(200, vector_store_json(call, *record, count_attachments(*attachments)));
}

HandlerResult update_vector_store(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(document, read_json_object(call.request()));
  BULKHEAD_CO_TRY(body, parse_store_body(document.root(), false));
  bool admin = has_permission(call, access::Permission::FilesManage);
  auto before = co_await with_store(call, [&](storage::TenantStore& store, const auto& scope) {
    return find_store(store, scope, call.captures[0]);
  });
  if (!before) co_return before.take_error();
  // Counted first: once it is changed, nothing may fail any more.
  auto attachments = co_await readable_attachments(call, before->id, false);
  if (!attachments) co_return attachments.take_error();
  using Record = storage::VectorStoreRecord;
  auto updated =
      co_await with_store(call, [&](storage::TenantStore& store, const auto& scope) -> Result<Record> {
        BULKHEAD_TRY(record, find_store(store, scope, call.captures[0]));
        if (!call.principal->is_user(record.owner) && !admin) return only_owner();
        if (body.is_default && *body.is_default != record.is_default && !admin) {
          return only_admin_default();
        }
        call.record.target = record.id.str();
        if (body.name) record.name = *body.name;
        if (body.metadata) record.metadata_json = *body.metadata;
        if (body.is_default) record.is_default = *body.is_default;
        BULKHEAD_CHECK_OK(store.put_vector_store(scope, record));
        return record;
      });
  if (!updated) co_return updated.take_error();
  co_return Reply::json(200, vector_store_json(call, *updated, count_attachments(*attachments)));
}

HandlerResult delete_vector_store(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  bool admin = has_permission(call, access::Permission::FilesManage);
  auto deleted =
      co_await with_store(call, [&](storage::TenantStore& store, const auto& scope) -> Result<std::string> {
        BULKHEAD_TRY(record, find_store(store, scope, call.captures[0]));
        if (!call.principal->is_user(record.owner) && !admin) return only_owner();
        call.record.target = record.id.str();
        BULKHEAD_CHECK_OK(store.delete_vector_store(scope, record.id));
        call.services.ingestor.store_deleted(scope.tenant(), record.id);
        return record.id.str();
      });
  if (!deleted) co_return deleted.take_error();
  co_return Reply::json(200, deleted_body(*deleted, "vector_store.deleted"));
}

HandlerResult search_vector_store(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(document, read_json_object(call.request()));
  ObjectReader reader(document.root());
  auto query = reader.text("query", kQueryBytesMax, true);
  auto limit = reader.integer("max_num_results", 1, kSearchResultsMax);
  reader.unsupported("filters", "documents carry access lists, not attributes, here.");
  reader.unsupported("ranking_options", "the ranking is fixed.");
  reader.unsupported_unless_false("rewrite_query", "queries are taken as they are.");
  BULKHEAD_CO_CHECK_OK(reader.finish());
  guard::TextFindings ignored;
  BULKHEAD_CO_TRY(clean_query, clean_text(*query, "query", ignored));
  auto store = co_await with_store(call, [&](storage::TenantStore& s, const auto& scope) {
    return find_store(s, scope, call.captures[0]);
  });
  if (!store) co_return store.take_error();
  call.record.target = store->id.str();
  call.record.prompt_hash = call.scope().audit_hash(clean_query);
  rag::RetrievalOptions options;
  options.results_max = static_cast<std::size_t>(limit.value_or(kSearchResultsDefault));
  ReadingOutcome reading(accounts_of(call), ReadingOutcome::Part::Whole);
  auto found = co_await call.services.retriever.retrieve(call.engine_context(), clean_query, {store->id},
                                                         options, reading.tokens);
  reading.settle();
  if (!found) co_return explained(call, found.take_error());
  call.record.retrieval_score = found->relevance;
  call.record.reranked_by = found->reranked_by;
  for (const rag::RetrievedChunk& chunk : found->chunks) {
    call.record.retrieval_ids.push_back(chunk.chunk.file.str() + "#" + std::to_string(chunk.chunk.ordinal));
  }
  co_return Reply::json(200, search_json(*query, *found));
}

}  // namespace bulkhead::gateway
