// What a generation is asked for: who asks (from the signed context, never from a body), the prompt, and
// how to sample. Values.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "inference/constraint.h"
#include "inference/tokens.h"

namespace bulkhead::inference {

// Whose later requests may reuse the K and V rows of this one.
enum class PrefixScope { Off, Session, Tenant };

struct RequestContext {
  std::string tenant, session, request_id;
  PrefixScope prefix = PrefixScope::Off;
  std::chrono::seconds prefix_lifetime{300};  // since the last use
  bool exclusive = false;                     // decoded in batches of its own
  double weight = 1;                          // share under contention
  std::size_t priority = 0;                   // 0: interactive, 1: background, 2: maintenance
};

struct SamplingOptions {
  double temperature = 0.7;
  double top_p = 0.95;
  std::optional<std::int64_t> seed;
  double presence_penalty = 0, frequency_penalty = 0;
  std::vector<std::pair<Token, float>> logit_bias;
  std::optional<int> top_logprobs;  // set: log probabilities are reported, with so many alternatives
};

struct GenerationRequest {
  RequestContext context;
  Tokens prompt;
  std::int64_t max_tokens = 0;  // of each answer; 0: what fits. The scheduler lowers it to what fits
  std::size_t n = 1;            // answers to the one prompt
  SamplingOptions sampling;
  std::vector<std::string> stop;
  Constraint constraint;
  std::unordered_set<Token> shown_tokens;  // control tokens whose text belongs to the answer (tool calls)
};

}  // namespace bulkhead::inference
