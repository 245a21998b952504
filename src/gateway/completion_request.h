// The body of POST /v1/completions, OpenAI's older form, read strictly.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "engine/engine.h"
#include "gateway/sampling.h"
#include "guard/text_policy.h"

namespace bulkhead::gateway {

struct CompletionBody {
  engine::ChatRequest request;  // `prompt` is set
  StreamOptions stream_options;
  guard::TextFindings findings;
};

base::Result<CompletionBody> parse_completion_body(const base::json::Value& root);

}  // namespace bulkhead::gateway
