// The model registry: every model that this deployment serves, where it came from, under which
// licence, with which hash, and by whom it was put in (OWASP AISVS 3.1.1). Values and one small
// table; starting workers is EnginePool's business.
//
// A model has one serving version and, while a new one is rolled out in steps, a next version with
// its share of the users (AISVS 3.3.1). What was changed while running outlives a restart: the
// table is handed as one JSON text to `save` at each change and read back at start.
// Thread safety: values; a ModelTable belongs to whoever guards it (EnginePool's lock).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace bulkhead::engine {

struct ModelVersion {
  std::string id;               // what clients call it; the same for all versions
  std::string kind = "chat";    // "chat", "embedding", "rerank"
  std::filesystem::path path;   // GGUF file
  std::string sha256;           // 64 lower-case hex digits; checked at each load
  std::string origin;           // where the file came from, as the operator states it
  std::string licence;          // SPDX expression or name
  std::string signed_by;        // id of the key that signed it; "" when no signature is asked for
  std::int64_t context = 8192;  // tokens of one sequence
  std::int64_t slots = 4;
  std::int64_t gpu_layers = 0;
  std::filesystem::path chat_template;  // Jinja, of the configuration; empty: the model file's own
  std::int64_t loaded_at = 0;           // unix seconds of its admission
  std::string loaded_by;                // "config", or the operator's API key id
};

struct ModelEntry {
  ModelVersion current;
  std::optional<ModelVersion> next;
  double next_share = 0;     // share of users at `next`, 0..1
  bool from_config = false;  // named by the configuration file: can be replaced, not removed
  std::string config_pin;    // what the file said when it was replaced: "path|sha256"
};

// 1 to 96 letters, digits, '.', '_', '-' and ':', beginning with a letter or digit.
bool valid_model_id(std::string_view id);
bool valid_sha256(std::string_view text);

// One model as the admin API and the saved table show it.
void write_version(base::json::Writer& w, const ModelVersion& version);

class ModelTable {
 public:
  // Puts in a model of the configuration file. A version that replaced it while running is kept from
  // `saved` as long as the file still says what it said then; a changed file wins.
  void add_configured(ModelVersion version, const ModelTable& saved);
  // Puts in what `saved` holds beside the configured models.
  void add_saved(const ModelTable& saved);

  ModelEntry* find(std::string_view id);
  const ModelEntry* find(std::string_view id) const;
  void put(ModelEntry entry);
  void erase(std::string_view id);
  std::vector<ModelEntry> all() const;

  // Entries that only a run-time change made; the rest comes from the configuration again.
  std::string to_json() const;
  static base::Result<ModelTable> from_json(std::string_view text);

 private:
  std::map<std::string, ModelEntry, std::less<>> entries_;
};

}  // namespace bulkhead::engine
