// Members that /v1/chat/completions and /v1/completions share, read strictly: sampling, penalties,
// number of choices, stop words, streaming. Every mistake names the parameter.
#pragma once

#include "base/json.h"
#include "engine/engine.h"
#include "gateway/dto.h"

namespace bulkhead::gateway {

inline constexpr std::int64_t kChoicesMax = 8;
inline constexpr std::int64_t kAnswerTokensMax = 1 << 20;

void read_sampling(ObjectReader& reader, const base::json::Value& root, engine::ChatRequest& request);

struct StreamOptions {
  bool include_usage = false;
  bool include_obfuscation = false;
};
// `stream` and `stream_options`; sets request.stream.
StreamOptions read_stream_options(ObjectReader& reader, engine::ChatRequest& request);

// What both routes refuse by name.
void refuse_identity_members(ObjectReader& reader);

}  // namespace bulkhead::gateway
