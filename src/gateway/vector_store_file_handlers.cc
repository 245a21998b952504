// /v1/vector_stores/{id}/files: attach, list, status, detach.
#include "gateway/dto.h"
#include "gateway/file_access.h"
#include "gateway/handlers.h"
#include "gateway/store_call.h"
#include "gateway/vector_store_dto.h"

namespace bulkhead::gateway {

using base::Result;

namespace {

// What the path names, when both exist and the caller may see them.
struct Named {
  storage::VectorStoreRecord store;
  storage::FileRecord file;
};

Result<storage::VectorStoreRecord> named_store(Call& call, storage::TenantStore& store) {
  auto id = base::VectorStoreId::parse(call.captures[0]);
  if (!id) return not_found("vector store");
  auto record = store.get_vector_store(call.scope(), *id);
  if (!record && record.error().is(storage::StorageError::NotFound)) return not_found("vector store");
  return record;
}

Result<Named> named_file_in_store(Call& call, storage::TenantStore& store, const std::string& file) {
  BULKHEAD_TRY(record, named_store(call, store));
  auto id = base::FileId::parse(file);
  if (!id) return not_found("file");
  BULKHEAD_TRY(found, readable_file(call, store, *id));
  call.record.target = record.id.str() + "/" + found.id.str();
  return Named{std::move(record), std::move(found)};
}

bool may_change(const Call& call, const storage::VectorStoreRecord& store) {
  return call.principal->is_user(store.owner) || has_permission(call, access::Permission::FilesManage);
}

base::Error only_owner() {
  return api_error(ApiError::Forbidden, "Only the vector store's owner or an administrator may do this.");
}

Result<storage::AttachmentRecord> attachment_of(Call& call, storage::TenantStore& store, const Named& named) {
  auto attachment = store.get_attachment(call.scope(), named.store.id, named.file.id);
  if (!attachment && attachment.error().is(storage::StorageError::NotFound)) return not_found("file");
  return attachment;
}

}  // namespace

HandlerResult attach_file(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(document, read_json_object(call.request()));
  ObjectReader reader(document.root());
  auto file = reader.text("file_id", base::kIdBytesMax, true);
  reader.unsupported("attributes", "documents carry access lists, not attributes, here.");
  reader.unsupported("chunking_strategy", "documents are cut along their own structure.");
  BULKHEAD_CO_CHECK_OK(reader.finish());
  auto attachment = co_await with_store(
      call, [&](storage::TenantStore& store, const auto& scope) -> Result<storage::AttachmentRecord> {
        BULKHEAD_TRY(named, named_file_in_store(call, store, *file));
        if (!may_change(call, named.store)) return only_owner();
        storage::AttachmentRecord record{.store = named.store.id, .file = named.file.id};
        record.created = call.services.clock.unix_seconds();
        BULKHEAD_CHECK_OK(store.put_attachment(scope, record));
        return record;
      });
  if (!attachment) co_return attachment.take_error();
  call.services.ingestor.start(call.scope(), *attachment);
  co_return Reply::json(200, attachment_json(*attachment, nullptr));
}

HandlerResult list_attached_files(Call& call) {
  BULKHEAD_CO_TRY(page, read_page(call.request(), {"filter"}));
  auto filter = call.request().query_value("filter");
  auto store = co_await with_store(
      call, [&](storage::TenantStore& each, const auto&) { return named_store(call, each); });
  if (!store) co_return store.take_error();
  auto attachments = co_await readable_attachments(call, store->id, page.ascending);
  if (!attachments) co_return attachments.take_error();
  resume_unfinished(call, *attachments);
  std::vector<storage::AttachmentRecord> shown;
  std::vector<std::string> ids;
  bool more = false;
  bool reached = !page.after;
  for (const storage::AttachmentRecord& attachment : *attachments) {
    if (!reached) {
      reached = attachment.file.str() == *page.after;
      continue;
    }
    if (filter && attachment_status_name(attachment.status) != *filter) continue;
    if (shown.size() == page.limit) {
      more = true;
      break;
    }
    shown.push_back(attachment);
    ids.push_back(attachment.file.str());
  }
  auto items = co_await with_store(
      call, [&](storage::TenantStore& each, const auto& scope) -> Result<std::vector<std::string>> {
        std::vector<std::string> made;
        for (const storage::AttachmentRecord& attachment : shown) {
          auto file = each.get_file(scope, attachment.file);
          if (!file && !file.error().is(storage::StorageError::NotFound)) return file.take_error();
          made.push_back(attachment_json(attachment, file ? &*file : nullptr));
        }
        return made;
      });
  if (!items) co_return items.take_error();
  co_return Reply::json(200, list_body(*items, ids, more));
}

HandlerResult get_attached_file(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  auto attachment =
      co_await with_store(call,
                          [&](storage::TenantStore& store,
                              const auto&) -> Result<std::pair<storage::AttachmentRecord, std::string>> {
                            BULKHEAD_TRY(named, named_file_in_store(call, store, call.captures[1]));
                            BULKHEAD_TRY(record, attachment_of(call, store, named));
                            std::string json = attachment_json(record, &named.file);
                            return std::make_pair(std::move(record), std::move(json));
                          });
  if (!attachment) co_return attachment.take_error();
  resume_unfinished(call, {attachment->first});
  co_return Reply::json(200, std::move(attachment->second));
}

HandlerResult detach_file(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  auto detached =
      co_await with_store(call, [&](storage::TenantStore& store, const auto& scope) -> Result<std::string> {
        BULKHEAD_TRY(named, named_file_in_store(call, store, call.captures[1]));
        if (!may_change(call, named.store)) return only_owner();
        BULKHEAD_CHECK_OK(attachment_of(call, store, named));
        BULKHEAD_CHECK_OK(store.delete_attachment(scope, named.store.id, named.file.id));
        call.services.ingestor.detached(scope.tenant(), named.store.id, named.file.id);
        return named.file.id.str();
      });
  if (!detached) co_return detached.take_error();
  co_return Reply::json(200, deleted_body(*detached, "vector_store.file.deleted"));
}

}  // namespace bulkhead::gateway
