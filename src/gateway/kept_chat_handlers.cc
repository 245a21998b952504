// Kept chats: only where the tenant's policy keeps them, sealed with its key. Members see their own,
// holders of chat.read_all the tenant's.
#include "access/decision.h"
#include "gateway/dto.h"
#include "gateway/handlers.h"
#include "gateway/store_call.h"

namespace bulkhead::gateway {

namespace json = base::json;
using base::Result;
using base::Task;

namespace {

bool reads_all(const Call& call) {
  return access::decide(call.services.roles, *call.principal, access::Permission::ChatReadAll).allowed;
}

// The chat named in the path, when the caller may see it.
Task<Result<storage::ChatRecord>> find_chat(Call& call) {
  auto id = base::ChatId::parse(call.captures[0]);
  if (!id) co_return not_found("chat completion");
  auto chat = co_await with_store(
      call, [&](storage::TenantStore& store, const auto& scope) { return store.get_chat(scope, *id); });
  bool foreign = chat && !call.principal->is_user(chat->owner) && !reads_all(call);
  bool expired = chat && chat->expires <= call.services.clock.unix_seconds();
  if (foreign || expired || (!chat && chat.error().is(storage::StorageError::NotFound))) {
    co_return not_found("chat completion");
  }
  co_return std::move(chat);
}

std::string summary_json(const storage::ChatRecord& chat) {
  json::Writer w;
  w.begin_object()
      .member("id", chat.id.str())
      .member("object", "chat.completion")
      .member("created", chat.created)
      .member("model", chat.model);
  w.key("metadata").raw(chat.metadata_json);
  w.key("choices").begin_array().end_array();
  w.end_object();
  return w.take();
}

}  // namespace

HandlerResult list_chats(Call& call) {
  BULKHEAD_CO_TRY(page, read_page(call.request()));
  const bool all = reads_all(call);
  const std::vector<std::string> own = call.principal->stored_users();
  if (!all && own.empty()) co_return Reply::json(200, list_body({}, {}, false));
  std::size_t limit = page.limit;
  ++page.limit;  // one more tells whether there is a next page
  auto chats = co_await with_store(call, [&](storage::TenantStore& store, const auto& scope) {
    return all ? store.list_chats(scope, {}, page) : store.list_chats(scope, own, page);
  });
  if (!chats) co_return chats.take_error();
  bool more = chats->size() > limit;
  std::vector<std::string> items, ids;
  std::int64_t now = call.services.clock.unix_seconds();
  for (std::size_t i = 0; i < std::min(limit, chats->size()); ++i) {
    if ((*chats)[i].expires <= now) continue;
    items.push_back(summary_json((*chats)[i]));
    ids.push_back((*chats)[i].id.str());
  }
  co_return Reply::json(200, list_body(items, ids, more));
}

HandlerResult get_chat(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  auto chat = co_await find_chat(call);
  if (!chat) co_return chat.take_error();
  // The stored answer with its metadata, as OpenAI's shape has it.
  std::string body = std::move(chat->completion_json);
  body.pop_back();
  body += ",\"metadata\":" + chat->metadata_json + "}";
  co_return Reply::json(200, std::move(body));
}

HandlerResult get_chat_messages(Call& call) {
  BULKHEAD_CO_TRY(page, read_page(call.request()));
  auto chat = co_await find_chat(call);
  if (!chat) co_return chat.take_error();
  BULKHEAD_CO_TRY(document, json::Document::parse(chat->messages_json));
  json::Value messages = document.root();
  std::vector<std::string> items, ids;
  bool more = false;
  bool reached = !page.after;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    std::string id = chat->id.str() + "-" + std::to_string(i);
    if (!reached) {
      reached = id == *page.after;
      continue;
    }
    if (items.size() == page.limit) {
      more = true;
      break;
    }
    json::Writer w;
    w.begin_object().member("id", id);
    w.key("role").copy(messages.at(i)["role"]).key("content").copy(messages.at(i)["content"]);
    w.end_object();
    items.push_back(w.take());
    ids.push_back(id);
  }
  co_return Reply::json(200, list_body(items, ids, more));
}

HandlerResult delete_chat(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  auto chat = co_await find_chat(call);
  if (!chat) co_return chat.take_error();
  call.record.target = chat->id.str();
  auto deleted = co_await with_store(call, [&](storage::TenantStore& store, const auto& scope) {
    return store.delete_chat(scope, chat->id);
  });
  if (!deleted) co_return deleted.take_error();
  co_return Reply::json(200, deleted_body(chat->id.str(), "chat.completion.deleted"));
}

}  // namespace bulkhead::gateway
