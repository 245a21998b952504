// The operator's routes for models: the registry, and loading, replacing, rolling out, rolling back
// and unloading while serving. Each change is one audit record: who, which model, which hash.
#include <cstdio>

#include "gateway/dto.h"
#include "gateway/handlers.h"

namespace bulkhead::gateway {

namespace json = base::json;
using base::Result;

namespace {

constexpr std::size_t kPathBytesMax = 4096;
constexpr std::size_t kTextBytesMax = 512;

Result<engine::EnginePool*> pool_of(const Call& call) {
  if (call.services.engine_pool) return call.services.engine_pool;
  return api_error(
      ApiError::Conflict,
      "This deployment runs no models of its own: its engine is an external server ([engine.external]).");
}

// What the process behind a version is doing just now.
void write_state(json::Writer& w, const std::vector<engine::WorkerStatus>& workers, const std::string& name) {
  for (const engine::WorkerStatus& worker : workers) {
    if (worker.name != name) continue;
    w.member("state", worker.ready ? "ready" : "starting");
    w.member("pid", worker.pid).member("restarts", worker.restarts);
    return;
  }
}

// How far all documents are on their way to this embedding model, or to its next version.
void write_indexing(json::Writer& w, const rag::ReembedProgress& progress) {
  w.key("indexing").begin_object();
  w.member("state", progress.running ? "indexing_anew" : "done");
  w.member("tenants_done", static_cast<std::int64_t>(progress.tenants_done));
  w.member("tenants_total", static_cast<std::int64_t>(progress.tenants_total));
  w.key("skipped").begin_array();
  for (const std::string& tenant : progress.skipped) w.value(tenant);
  w.end_array().end_object();
}

std::string entry_json(const Call& call, const engine::ModelEntry& entry,
                       const std::vector<engine::WorkerStatus>& workers) {
  const std::string& id = entry.current.id;
  json::Writer w;
  w.begin_object().member("id", id).member("object", "bulkhead.model").member("kind", entry.current.kind);
  w.member("from_config", entry.from_config);
  write_state(w, workers, id);
  w.key("current");
  engine::write_version(w, entry.current);
  if (entry.next) {
    w.key("next");
    engine::write_version(w, *entry.next);
    w.member("next_share", entry.next_share);
    w.key("next_worker").begin_object();
    write_state(w, workers, id + "@next");
    w.end_object();
  }
  if (entry.current.kind == "embedding") write_indexing(w, call.services.reembedder.progress());
  w.key("dedicated").begin_array();
  for (const engine::WorkerStatus& worker : workers) {
    if (worker.tenant.empty() || worker.model != id) continue;
    w.begin_object().member("tenant", worker.tenant).member("sha256", worker.sha256);
    write_state(w, workers, worker.name);
    w.end_object();
  }
  w.end_array().end_object();
  return w.take();
}

struct ModelBody {
  engine::ModelVersion version;
  double share = 1;
};

// `defaults` gives what the body leaves open.
Result<ModelBody> parse_model_body(const json::Value& root, engine::ModelVersion defaults, bool is_new) {
  ObjectReader reader(root);
  ModelBody body;
  body.version = std::move(defaults);
  engine::ModelVersion& version = body.version;
  if (is_new) {
    version.id = reader.text("id", kTextBytesMax, true).value_or("");
    version.kind = reader.text("kind", kTextBytesMax).value_or("chat");
  }
  version.path = reader.text("path", kPathBytesMax, true).value_or("");
  version.sha256 = reader.text("sha256", 64, true).value_or("");
  version.origin = reader.text("origin", kTextBytesMax, true).value_or("");
  version.licence = reader.text("licence", kTextBytesMax, true).value_or("");
  version.context = reader.integer("context", 256, 1 << 20).value_or(version.context);
  version.slots = reader.integer("slots", 1, 256).value_or(version.slots);
  version.gpu_layers = reader.integer("gpu_layers", 0, 1'000).value_or(version.gpu_layers);
  if (!is_new) body.share = reader.real("share", 0.001, 1).value_or(1);
  BULKHEAD_CHECK_OK(reader.finish());
  if (is_new && !engine::valid_model_id(version.id)) {
    return api_error(ApiError::BadParameter, "'id' must be 1 to 96 letters, digits, '.', '_', '-' and ':'.",
                     "id");
  }
  if (is_new && version.kind != "chat" && version.kind != "rerank") {
    return api_error(ApiError::BadParameter, "'kind' must be chat or rerank.", "kind");
  }
  if (!engine::valid_sha256(version.sha256)) {
    return api_error(ApiError::BadParameter, "'sha256' must be 64 lower-case hex digits.", "sha256");
  }
  for (const auto& [name, text] :
       {std::pair{"path", version.path.string()}, std::pair{"origin", version.origin},
        std::pair{"licence", version.licence}}) {
    if (text.empty())
      return api_error(ApiError::BadParameter, "'" + std::string(name) + "' must not be empty.", name);
  }
  return body;
}

std::string share_note(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "share %.3f", share);
  return text;
}

Reply entry_reply(Call& call, const engine::ModelEntry& entry) {
  return Reply::json(200, entry_json(call, entry, call.services.engine_pool->workers()));
}

// The entry a path names, for the defaults of its next version.
Result<engine::ModelEntry> named_entry(Call& call, const engine::EnginePool& pool) {
  call.record.model = call.captures[0].substr(0, kTextBytesMax);
  for (engine::ModelEntry& entry : pool.entries()) {
    if (entry.current.id == call.captures[0]) return std::move(entry);
  }
  call.record.model.clear();
  return not_found("model");
}

}  // namespace

HandlerResult admin_list_models(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  std::vector<std::string> items, ids;
  if (engine::EnginePool* pool = call.services.engine_pool) {
    std::vector<engine::WorkerStatus> workers = pool->workers();
    for (const engine::ModelEntry& entry : pool->entries()) {
      items.push_back(entry_json(call, entry, workers));
      ids.push_back(entry.current.id);
    }
  }
  co_return Reply::json(200, list_body(items, ids, false));
}

HandlerResult admin_add_model(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(pool, pool_of(call));
  BULKHEAD_CO_TRY(document, read_json_object(call.request()));
  const EngineConfig& config = call.services.config.engine;
  engine::ModelVersion defaults;
  defaults.context = config.chat_context;
  defaults.slots = static_cast<std::int64_t>(config.slots);
  defaults.gpu_layers = config.gpu_layers;
  BULKHEAD_CO_TRY(body, parse_model_body(document.root(), std::move(defaults), true));
  call.record.model = body.version.id;
  call.record.target = "sha256:" + body.version.sha256;
  body.version.loaded_by = call.principal->credential_id();
  auto added = co_await pool->add(std::move(body.version));
  if (!added) co_return added.take_error();
  co_return entry_reply(call, *added);
}

HandlerResult admin_replace_model(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(pool, pool_of(call));
  BULKHEAD_CO_TRY(entry, named_entry(call, *pool));
  BULKHEAD_CO_TRY(document, read_json_object(call.request()));
  BULKHEAD_CO_TRY(body, parse_model_body(document.root(), entry.current, false));
  call.record.target = "sha256:" + body.version.sha256;
  call.record.note = share_note(body.share);
  body.version.loaded_by = call.principal->credential_id();
  auto replaced = co_await pool->replace(std::move(body.version), body.share);
  if (!replaced) co_return replaced.take_error();
  co_return entry_reply(call, *replaced);
}

HandlerResult admin_set_model_share(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(pool, pool_of(call));
  BULKHEAD_CO_TRY(entry, named_entry(call, *pool));
  BULKHEAD_CO_TRY(document, read_json_object(call.request()));
  ObjectReader reader(document.root());
  auto share = reader.real("share", 0, 1);
  BULKHEAD_CO_CHECK_OK(reader.finish());
  if (!share)
    co_return api_error(ApiError::MissingParameter, "'share' is needed: a number from 0 to 1.", "share");
  if (entry.next) call.record.target = "sha256:" + entry.next->sha256;
  call.record.note = share_note(*share);
  auto changed = co_await pool->set_share(entry.current.id, *share);
  if (!changed) co_return changed.take_error();
  co_return entry_reply(call, *changed);
}

HandlerResult admin_remove_model(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(pool, pool_of(call));
  BULKHEAD_CO_TRY(entry, named_entry(call, *pool));
  call.record.target = "sha256:" + entry.current.sha256;
  auto removed = co_await pool->remove(entry.current.id);
  if (!removed) co_return removed.take_error();
  co_return Reply::json(200, deleted_body(entry.current.id, "bulkhead.model.deleted"));
}

}  // namespace bulkhead::gateway
