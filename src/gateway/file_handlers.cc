// /v1/files: upload, list, get, content, delete, and who may read.
#include "crypto/random.h"
#include "gateway/dto.h"
#include "gateway/file_access.h"
#include "gateway/handlers.h"
#include "gateway/store_call.h"
#include "gateway/user_dto.h"
#include "http/multipart.h"
#include "storage/tombstones.h"

namespace bulkhead::gateway {

namespace json = base::json;
using base::Result;

namespace {

constexpr std::size_t kFileNameBytesMax = 255;

std::string file_json(const Call& call, const storage::FileRecord& file) {
  json::Writer w;
  w.begin_object()
      .member("id", file.id.str())
      .member("object", "file")
      .member("bytes", file.bytes)
      .member("created_at", file.created)
      .member("filename", file.name)
      .member("purpose", file.purpose)
      .member("status", storage::file_status_name(file.status));
  const bool processed = file.status == storage::FileStatus::Processed;
  if (!processed && !file.status_detail.empty()) w.member("status_details", file.status_detail);
  w.key("bulkhead").begin_object().member("owner", shown_user(call, file.owner)).key("access");
  write_access(call, w, file.access);
  write_extraction(w, file);
  w.end_object().end_object();
  return w.take();
}

struct Upload {
  std::string name;
  std::string purpose;
  access::DocumentAccess access;
  std::string_view content;  // points into the request's body
};

Result<Upload> parse_upload(const Call& call) {
  const http::Request& request = call.request();
  auto type = request.headers.single("content-type");
  if (!type || !type->starts_with("multipart/form-data")) {
    return api_error(ApiError::UnsupportedMediaType, "Send the file as multipart/form-data.");
  }
  BULKHEAD_TRY(parts, http::parse_multipart(*type, request.body));
  Upload upload;
  bool has_file = false;
  for (const http::FormPart& part : parts) {
    if (part.name == "file" && !has_file) {
      has_file = true;
      upload.name = part.file_name;
      upload.content = part.content;
    } else if (part.name == "purpose" && upload.purpose.empty()) {
      upload.purpose = std::string(part.content);
    } else if (part.name == "bulkhead_access") {
      auto document = json::Document::parse(part.content);
      if (!document) {
        return api_error(ApiError::BadParameter,
                         "'bulkhead_access' must be JSON: " + document.error().message(), "bulkhead_access");
      }
      BULKHEAD_TRY(access, parse_access(call, document->root(), "bulkhead_access"));
      upload.access = std::move(access);
    } else {
      std::string name = part.name.substr(0, 64);
      return api_error(ApiError::UnknownParameter,
                       "There is no form field '" + name +
                           "' here, or it "
                           "stands there twice.",
                       name);
    }
  }
  if (!has_file) return api_error(ApiError::MissingParameter, "'file' is needed.", "file");
  if (upload.name.empty() || upload.name.size() > kFileNameBytesMax) {
    return api_error(ApiError::BadParameter, "'file' needs a file name of at most 255 bytes.", "file");
  }
  if (upload.purpose != "assistants" && upload.purpose != "user_data") {
    return api_error(ApiError::BadParameter, "'purpose' must be assistants or user_data.", "purpose");
  }
  return upload;
}

// The file named in the path, when the caller may read it and, if asked, manage it.
base::Task<Result<storage::FileRecord>> named_file(Call& call, bool to_manage) {
  auto id = base::FileId::parse(call.captures[0]);
  if (!id) co_return not_found("file");
  call.record.target = id->str();
  auto file = co_await with_store(
      call, [&](storage::TenantStore& store, const auto&) { return readable_file(call, store, *id); });
  if (file && to_manage && !may_manage(call, *file)) {
    co_return api_error(ApiError::Forbidden, "Only the file's owner or an administrator may do this.");
  }
  co_return std::move(file);
}

struct Found {
  std::vector<storage::FileRecord> files;
  bool more = false;
};

// Pages are filled after access filtering, so a page never tells how much was withheld.
base::Task<Result<Found>> find_readable(Call& call, storage::Page page,
                                        std::optional<std::string_view> purpose) {
  Found out;
  storage::Page cursor = page;
  cursor.limit = kRowsPerTurn;
  bool over = false;
  while (!over) {
    auto looked =
        co_await with_store(call, [&](storage::TenantStore& store, const auto& scope) -> Result<bool> {
          auto batch = store.list_files(scope, cursor);
          if (!batch && batch.error().is(storage::StorageError::NotFound) && cursor.after != page.after) {
            return listing_moved();
          }
          if (!batch) return batch.take_error();
          // Before the records are moved out.
          if (!batch->empty()) cursor.after = batch->back().id.str();
          for (storage::FileRecord& file : *batch) {
            if ((purpose && file.purpose != *purpose) || !may_read(call, file)) continue;
            if (out.files.size() == page.limit) {
              out.more = true;
              return true;
            }
            out.files.push_back(std::move(file));
          }
          return batch->size() < cursor.limit;
        });
    if (!looked) co_return looked.take_error();
    over = *looked;
  }
  co_return std::move(out);
}

}  // namespace

HandlerResult create_file(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(upload, parse_upload(call));
  if (upload.content.size() > call.services.config.extract.file_bytes_max) {
    co_return api_error(ApiError::BodyTooLarge,
                        "The file is larger than the " +
                            std::to_string(call.services.config.extract.file_bytes_max >> 20) +
                            " MiB that are taken.",
                        "file");
  }
  storage::FileRecord file{.id = base::FileId::make(crypto::random_id())};
  file.name = std::move(upload.name);
  file.purpose = std::move(upload.purpose);
  file.owner = call.principal->user();
  file.bytes = upload.content.size();
  file.created = call.services.clock.unix_seconds();
  file.access = std::move(upload.access);
  call.record.target = file.id.str();
  auto stored = co_await with_store(call, [&](storage::TenantStore& store, const auto& scope) {
    file.sha256 = scope.audit_hash(upload.content);
    return store.put_file(scope, file, upload.content);
  });
  if (!stored) co_return stored.take_error();
  co_return Reply::json(200, file_json(call, file));
}

HandlerResult list_files(Call& call) {
  BULKHEAD_CO_TRY(page, read_page(call.request(), {"purpose"}));
  for (int attempt = 1;; ++attempt) {
    auto found = co_await find_readable(call, page, call.request().query_value("purpose"));
    if (!found && found.error().is(storage::StorageError::Busy) && attempt < kListingAttemptsMax) continue;
    if (!found) co_return found.take_error();
    std::vector<std::string> items, ids;
    for (const storage::FileRecord& file : found->files) {
      items.push_back(file_json(call, file));
      ids.push_back(file.id.str());
    }
    co_return Reply::json(200, list_body(items, ids, found->more));
  }
}

HandlerResult get_file(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  auto file = co_await named_file(call, false);
  if (!file) co_return file.take_error();
  co_return Reply::json(200, file_json(call, *file));
}

HandlerResult get_file_content(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  auto file = co_await named_file(call, false);
  if (!file) co_return file.take_error();
  auto content = co_await with_store(call, [&](storage::TenantStore& store, const auto& scope) {
    return store.file_content(scope, file->id);
  });
  if (!content) co_return content.take_error();
  http::Response response;
  response.headers.set("content-type", "application/octet-stream");
  response.headers.set("content-disposition", "attachment");
  response.body = std::move(*content);
  co_return Reply{std::move(response), false};
}

HandlerResult delete_file(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  auto file = co_await named_file(call, true);
  if (!file) co_return file.take_error();
  auto deleted = co_await with_store(call, [&](storage::TenantStore& store, const auto& scope) {
    return store.delete_file(scope, file->id);
  });
  if (!deleted) co_return deleted.take_error();
  call.services.ingestor.file_deleted(call.scope().tenant(), file->id);
  co_return Reply::json(200, deleted_body(file->id.str(), "file"));
}

HandlerResult set_file_access(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  auto file = co_await named_file(call, true);
  if (!file) co_return file.take_error();
  BULKHEAD_CO_TRY(document, read_json_object(call.request()));
  BULKHEAD_CO_TRY(access, parse_access(call, document.root(), "access"));
  auto changed = co_await with_store(call, [&](storage::TenantStore& store, const auto& scope) {
    return storage::Tombstones(call.services.platform).set_file_access(store, scope, file->id, access);
  });
  if (!changed) co_return changed.take_error();
  file->access = std::move(access);
  co_return Reply::json(200, file_json(call, *file));
}

}  // namespace bulkhead::gateway
