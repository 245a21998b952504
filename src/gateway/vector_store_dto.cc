#include "gateway/vector_store_dto.h"

#include "base/json.h"
#include "gateway/file_access.h"
#include "gateway/store_call.h"
#include "gateway/user_dto.h"

namespace bulkhead::gateway {

namespace json = base::json;
using base::Result;

std::string_view attachment_status_name(storage::AttachmentStatus status) {
  switch (status) {
    case storage::AttachmentStatus::InProgress: return "in_progress";
    case storage::AttachmentStatus::Completed: return "completed";
    case storage::AttachmentStatus::Failed: return "failed";
  }
  return "failed";
}

namespace {

using Attachments = std::vector<storage::AttachmentRecord>;

base::Task<Result<Attachments>> read_attachments(Call& call, const base::VectorStoreId& id, bool ascending) {
  Attachments readable;
  storage::Page cursor{.limit = kRowsPerTurn, .ascending = ascending};
  bool over = false;
  while (!over) {
    auto looked =
        co_await with_store(call, [&](storage::TenantStore& store, const auto& scope) -> Result<bool> {
          auto batch = store.list_attachments(scope, id, cursor);
          if (!batch && batch.error().is(storage::StorageError::NotFound) && cursor.after) {
            return listing_moved();
          }
          if (!batch) return batch.take_error();
          for (const storage::AttachmentRecord& attachment : *batch) {
            auto file = store.get_file(scope, attachment.file);
            if (!file && !file.error().is(storage::StorageError::NotFound)) return file.take_error();
            if (file && may_read(call, *file)) readable.push_back(attachment);
          }
          if (!batch->empty()) cursor.after = batch->back().file.str();
          return batch->size() < kRowsPerTurn;
        });
    if (!looked) co_return looked.take_error();
    over = *looked;
  }
  co_return std::move(readable);
}

}  // namespace

base::Task<Result<Attachments>> readable_attachments(Call& call, base::VectorStoreId id, bool ascending) {
  for (int attempt = 1;; ++attempt) {
    auto found = co_await read_attachments(call, id, ascending);
    const bool again = !found && found.error().is(storage::StorageError::Busy);
    if (!again || attempt == kListingAttemptsMax) co_return std::move(found);
  }
}

AttachmentCounts count_attachments(const std::vector<storage::AttachmentRecord>& attachments) {
  AttachmentCounts counts;
  for (const storage::AttachmentRecord& attachment : attachments) {
    switch (attachment.status) {
      case storage::AttachmentStatus::InProgress: ++counts.in_progress; break;
      case storage::AttachmentStatus::Completed: ++counts.completed; break;
      case storage::AttachmentStatus::Failed: ++counts.failed; break;
    }
  }
  return counts;
}

void resume_unfinished(Call& call, const std::vector<storage::AttachmentRecord>& attachments) {
  for (const storage::AttachmentRecord& attachment : attachments) {
    if (attachment.status == storage::AttachmentStatus::InProgress) {
      call.services.ingestor.resume(call.scope(), attachment);
    }
  }
}

std::string vector_store_json(const Call& call, const storage::VectorStoreRecord& record,
                              const AttachmentCounts& counts) {
  std::uint64_t total = counts.in_progress + counts.completed + counts.failed;
  json::Writer w;
  w.begin_object()
      .member("id", record.id.str())
      .member("object", "vector_store")
      .member("created_at", record.created)
      .member("last_active_at", record.last_active)
      .member("name", record.name)
      .member("usage_bytes", 0)
      .member("status", counts.in_progress > 0 ? "in_progress" : "completed");
  w.key("file_counts").begin_object();
  w.member("in_progress", counts.in_progress)
      .member("completed", counts.completed)
      .member("failed", counts.failed)
      .member("cancelled", 0)
      .member("total", total)
      .end_object();
  w.key("metadata").raw(record.metadata_json);
  w.key("bulkhead")
      .begin_object()
      .member("owner", shown_user(call, record.owner))
      .member("default", record.is_default);
  w.end_object().end_object();
  return w.take();
}

std::string attachment_json(const storage::AttachmentRecord& attachment, const storage::FileRecord* file) {
  json::Writer w;
  w.begin_object()
      .member("id", attachment.file.str())
      .member("object", "vector_store.file")
      .member("created_at", attachment.created)
      .member("vector_store_id", attachment.store.str())
      .member("usage_bytes", 0)
      .member("status", attachment_status_name(attachment.status))
      .key("last_error");
  if (attachment.status == storage::AttachmentStatus::Failed) {
    w.begin_object()
        .member("code", attachment.error_code)
        .member("message", attachment.error_message)
        .end_object();
  } else {
    w.null();
  }
  w.key("bulkhead").begin_object().member("chunks", static_cast<std::uint64_t>(attachment.chunks));
  if (file && attachment.status == storage::AttachmentStatus::Completed) write_extraction(w, *file);
  w.end_object().end_object();
  return w.take();
}

std::string search_json(std::string_view query, const rag::Retrieval& found) {
  json::Writer w;
  w.begin_object().member("object", "vector_store.search_results.page");
  w.key("search_query").begin_array().value(query).end_array();
  w.key("data").begin_array();
  for (const rag::RetrievedChunk& chunk : found.chunks) {
    w.begin_object()
        .member("file_id", chunk.chunk.file.str())
        .member("filename", chunk.file_name)
        .member("score", chunk.score);
    w.key("attributes").begin_object().end_object();
    w.key("content").begin_array().begin_object();
    w.member("type", "text").member("text", chunk.chunk.text).end_object().end_array();
    w.key("bulkhead").begin_object();
    if (!found.reranked_by.empty()) w.member("rerank_score", chunk.rerank_score);
    w.member("similarity", chunk.similarity)
        .member("chunk", static_cast<std::uint64_t>(chunk.chunk.ordinal))
        .member("page", static_cast<std::uint64_t>(chunk.chunk.page))
        .member("section", chunk.chunk.heading);
    w.end_object().end_object();
  }
  w.end_array().member("has_more", false).key("next_page").null();
  w.key("bulkhead").begin_object().member("relevance", found.relevance);
  if (!found.reranked_by.empty()) w.member("reranked_by", found.reranked_by);
  w.end_object().end_object();
  return w.take();
}

}  // namespace bulkhead::gateway
