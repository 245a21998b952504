#include "engine/model_registry.h"

#include <utility>

#include "engine/engine.h"

namespace bulkhead::engine {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kIdBytesMax = 96;
constexpr std::string_view kIdCharacters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:";
constexpr std::size_t kIdFirstCharacters = 62;
constexpr std::int64_t kFormat = 1;

std::string pin_of(const ModelVersion& version) {
  std::string pin = version.path.string() + "|" + version.sha256;
  if (!version.chat_template.empty()) pin += "|" + version.chat_template.string();
  return pin;
}

Error damaged() {
  return Error(EngineError::Failed,
               "The saved list of models can't be read. Restore the platform database from a backup.");
}

std::string text_of(const json::Value& object, std::string_view name) {
  return std::string(object[name].as_string().value_or(""));
}

Result<ModelVersion> read_version(const json::Value& object) {
  ModelVersion version;
  version.id = text_of(object, "id");
  version.kind = text_of(object, "kind");
  version.path = text_of(object, "path");
  version.sha256 = text_of(object, "sha256");
  version.origin = text_of(object, "origin");
  version.licence = text_of(object, "licence");
  version.signed_by = text_of(object, "signed_by");
  version.context = object["context"].as_int().value_or(0);
  version.slots = object["slots"].as_int().value_or(0);
  version.gpu_layers = object["gpu_layers"].as_int().value_or(0);
  version.chat_template = text_of(object, "template");
  version.loaded_at = object["loaded_at"].as_int().value_or(0);
  version.loaded_by = text_of(object, "loaded_by");
  if (!valid_model_id(version.id) || !valid_sha256(version.sha256) || version.path.empty() ||
      version.context <= 0 || version.slots <= 0) {
    return damaged();
  }
  return version;
}

}  // namespace

bool valid_model_id(std::string_view id) {
  if (id.empty() || id.size() > kIdBytesMax) return false;
  if (kIdCharacters.substr(0, kIdFirstCharacters).find(id.front()) == std::string_view::npos) return false;
  return id.find_first_not_of(kIdCharacters) == std::string_view::npos;
}

bool valid_sha256(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

void write_version(json::Writer& w, const ModelVersion& version) {
  w.begin_object()
      .member("id", version.id)
      .member("kind", version.kind)
      .member("path", version.path.string())
      .member("sha256", version.sha256)
      .member("origin", version.origin)
      .member("licence", version.licence)
      .member("signed_by", version.signed_by)
      .member("context", version.context)
      .member("slots", version.slots)
      .member("gpu_layers", version.gpu_layers)
      .member("template", version.chat_template.string())
      .member("loaded_at", version.loaded_at)
      .member("loaded_by", version.loaded_by)
      .end_object();
}

void ModelTable::add_configured(ModelVersion version, const ModelTable& saved) {
  ModelEntry entry;
  const ModelEntry* before = saved.find(version.id);
  if (before && before->from_config && before->config_pin == pin_of(version)) {
    entry = *before;
  } else {
    entry.from_config = true;
    entry.config_pin = pin_of(version);
    entry.current = std::move(version);
  }
  put(std::move(entry));
}

void ModelTable::add_saved(const ModelTable& saved) {
  for (const auto& [id, entry] : saved.entries_) {
    if (!entry.from_config) entries_.try_emplace(id, entry);
  }
}

ModelEntry* ModelTable::find(std::string_view id) {
  auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : &found->second;
}

const ModelEntry* ModelTable::find(std::string_view id) const {
  auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : &found->second;
}

void ModelTable::put(ModelEntry entry) {
  std::string id = entry.current.id;
  entries_.insert_or_assign(std::move(id), std::move(entry));
}

void ModelTable::erase(std::string_view id) {
  if (auto found = entries_.find(id); found != entries_.end()) entries_.erase(found);
}

std::vector<ModelEntry> ModelTable::all() const {
  std::vector<ModelEntry> list;
  for (const auto& [id, entry] : entries_) list.push_back(entry);
  return list;
}

std::string ModelTable::to_json() const {
  json::Writer w;
  w.begin_object().member("format", kFormat).key("models").begin_array();
  for (const auto& [id, entry] : entries_) {
    bool as_configured = entry.from_config && !entry.next && entry.config_pin == pin_of(entry.current);
    if (as_configured) continue;
    w.begin_object().key("current");
    write_version(w, entry.current);
    if (entry.next) {
      w.key("next");
      write_version(w, *entry.next);
      w.member("next_share", entry.next_share);
    }
    w.member("from_config", entry.from_config).member("config_pin", entry.config_pin).end_object();
  }
  w.end_array().end_object();
  return w.take();
}

Result<ModelTable> ModelTable::from_json(std::string_view text) {
  auto document = json::Document::parse(text);
  if (!document || document->root()["format"].as_int() != kFormat) return damaged();
  ModelTable table;
  json::Value models = document->root()["models"];
  for (std::size_t i = 0; i < models.size(); ++i) {
    json::Value item = models.at(i);
    ModelEntry entry;
    BULKHEAD_TRY(current, read_version(item["current"]));
    entry.current = std::move(current);
    if (item["next"].exists()) {
      BULKHEAD_TRY(next, read_version(item["next"]));
      entry.next = std::move(next);
      entry.next_share = item["next_share"].as_double().value_or(0);
    }
    entry.from_config = item["from_config"].as_bool().value_or(false);
    entry.config_pin = text_of(item, "config_pin");
    table.put(std::move(entry));
  }
  return table;
}

}  // namespace bulkhead::engine
