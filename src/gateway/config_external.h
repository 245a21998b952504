// Reads [engine.external]: servers that are not ours in the place of the own worker.
#pragma once

#include "gateway/config_reader.h"

namespace bulkhead::gateway {

void read_external(ConfigReader& r, const std::filesystem::path& base, ExternalConfig& out);
// engine.chat_url and engine.chat_api_key_file stand for a section with one server of kind "openai".
void take_short_form(ConfigReader& r, EngineConfig& out);
// What one section can't see: prompts in the clear, a default policy stricter than the engine.
void check_external(ConfigReader& r, const Config& config);

}  // namespace bulkhead::gateway
