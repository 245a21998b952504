#include "inference/sampler.h"

#include <algorithm>
#include <cmath>

#include "crypto/random.h"

namespace bulkhead::inference {

using base::Error;
using base::Result;

namespace {

constexpr int kTopK = 40;
constexpr int kPenaltyTokens = 256;  // how far back the penalties look
// How many of the likeliest tokens a grammar is asked about, and how that grows while none can stand.
constexpr std::size_t kFirstAsked = 64, kAskedGrowth = 16;

std::uint32_t seed_of(const SamplingOptions& options) {
  std::uint32_t seed = 0;
  if (options.seed) return static_cast<std::uint32_t>(*options.seed ^ (*options.seed >> 32));
  crypto::random_fill(reinterpret_cast<std::uint8_t*>(&seed), sizeof seed);
  return seed;
}

}  // namespace

Sampler::~Sampler() = default;

Result<std::unique_ptr<Sampler>> Sampler::make(const Model& model, const GenerationRequest& request,
                                               std::size_t choice) {
  std::unique_ptr<Sampler> sampler(new Sampler(model, request.sampling));
  sampler->build(choice);
  BULKHEAD_CHECK_OK(sampler->build_grammar(request.constraint));
  return sampler;
}

void Sampler::build(std::size_t choice) {
  const SamplingOptions& o = options_;
  bool shaped = !o.logit_bias.empty() || o.presence_penalty != 0 || o.frequency_penalty != 0;
  if (o.temperature <= 0 && !shaped) return;
  chain_.reset(llama_sampler_chain_init(llama_sampler_chain_default_params()));
  int vocabulary = llama_vocab_n_tokens(model_.vocab());
  if (!o.logit_bias.empty()) {
    std::vector<llama_logit_bias> biases;
    for (auto [token, bias] : o.logit_bias) biases.push_back({token, bias});
    add(llama_sampler_init_logit_bias(vocabulary, static_cast<int>(biases.size()), biases.data()));
  }
  if (o.presence_penalty != 0 || o.frequency_penalty != 0) {
    add(llama_sampler_init_penalties(vocabulary, kPenaltyTokens, 1.0f,
                                     static_cast<float>(o.frequency_penalty),
                                     static_cast<float>(o.presence_penalty)));
  }
  if (o.temperature <= 0) {
    add(llama_sampler_init_greedy());
    return;
  }
  add(llama_sampler_init_top_k(kTopK));
  add(llama_sampler_init_top_p(static_cast<float>(o.top_p), 1));
  add(llama_sampler_init_temp(static_cast<float>(o.temperature)));
  add(llama_sampler_init_dist(seed_of(o) + static_cast<std::uint32_t>(choice)));
}

Result<void> Sampler::build_grammar(const Constraint& constraint) {
  if (constraint.grammar.empty()) return Result<void>();
  llama_sampler* made = nullptr;
  try {
    if (constraint.lazy) {
      std::vector<const char*> patterns;
      for (const std::string& pattern : constraint.trigger_patterns) patterns.push_back(pattern.c_str());
      made = llama_sampler_init_grammar_lazy_patterns(
          model_.vocab(), constraint.grammar.c_str(), "root", patterns.data(), patterns.size(),
          constraint.trigger_tokens.data(), constraint.trigger_tokens.size());
    } else {
      made = llama_sampler_init_grammar(model_.vocab(), constraint.grammar.c_str(), "root");
      for (Token token : constraint.accepted) {
        if (made) llama_sampler_accept(made, token);
      }
    }
  } catch (const std::exception&) {
    made = nullptr;
  }
  if (!made) return Error(InferenceError::BadGrammar, "The answer's format can't be turned into a grammar.");
  grammar_.reset(made);
  return Result<void>();
}

void Sampler::fill(const float* logits) {
  candidates_.resize(static_cast<std::size_t>(llama_vocab_n_tokens(model_.vocab())));
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    candidates_[i] = {static_cast<llama_token>(i), logits[i], 0.0f};
  }
}

bool Sampler::allowed(Token token) {
  llama_token_data one{token, 1.0f, 0.0f};
  llama_token_data_array array{&one, 1, -1, false};
  llama_sampler_apply(grammar_.get(), &array);
  return !std::isinf(one.logit);
}

// From `candidates_`, which it reorders.
std::optional<Token> Sampler::draw() {
  llama_token_data_array array{candidates_.data(), candidates_.size(), -1, false};
  if (chain_) {
    llama_sampler_apply(chain_.get(), &array);
    if (array.selected < 0) return std::nullopt;
    const llama_token_data& chosen = array.data[array.selected];
    return std::isinf(chosen.logit) ? std::nullopt : std::optional<Token>(chosen.id);
  }
  auto best = std::max_element(candidates_.begin(), candidates_.end(),
                               [](const auto& a, const auto& b) { return a.logit < b.logit; });
  return std::isinf(best->logit) ? std::nullopt : std::optional<Token>(best->id);
}

std::optional<Token> Sampler::draw_allowed(const float* logits) {
  auto likelier = [](const llama_token_data& a, const llama_token_data& b) { return a.logit > b.logit; };
  for (std::size_t count = kFirstAsked;; count *= kAskedGrowth) {
    fill(logits);
    std::size_t asked = std::min(count, candidates_.size());
    auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(asked);
    std::nth_element(candidates_.begin(), end == candidates_.end() ? end - 1 : end, candidates_.end(),
                     likelier);
    candidates_.resize(asked);
    llama_token_data_array array{candidates_.data(), candidates_.size(), -1, false};
    llama_sampler_apply(grammar_.get(), &array);
    std::erase_if(candidates_, [](const llama_token_data& one) { return std::isinf(one.logit); });
    if (!candidates_.empty()) return draw();
    if (asked < count) return std::nullopt;
  }
}

std::optional<Token> Sampler::sample(const float* logits) {
  std::optional<Token> token;
  try {
    if (!chain_ && !grammar_) {
      token = static_cast<Token>(std::max_element(logits, logits + llama_vocab_n_tokens(model_.vocab())) -
                                 logits);
    } else {
      fill(logits);
      token = draw();
    }
    if (grammar_ && token && !allowed(*token)) token = draw_allowed(logits);
    if (!token) return std::nullopt;
    if (grammar_) llama_sampler_accept(grammar_.get(), *token);
    if (chain_) llama_sampler_accept(chain_.get(), *token);
  } catch (const std::exception&) {
    return std::nullopt;  // a grammar without a way on
  }
  return token;
}

TokenLogprob Sampler::logprob(const float* logits, Token token) const {
  auto count = static_cast<std::size_t>(llama_vocab_n_tokens(model_.vocab()));
  float highest = *std::max_element(logits, logits + count);
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += std::exp(static_cast<double>(logits[i] - highest));
  double log_sum = std::log(sum) + static_cast<double>(highest);
  auto of = [&](Token id) { return static_cast<float>(static_cast<double>(logits[id]) - log_sum); };
  TokenLogprob out{model_.piece(token, true), of(token), {}};
  auto wanted = std::min(count, static_cast<std::size_t>(options_.top_logprobs.value_or(0)));
  if (wanted == 0) return out;
  std::vector<Token> order(count);
  for (std::size_t i = 0; i < count; ++i) order[i] = static_cast<Token>(i);
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(wanted), order.end(),
                    [logits](Token a, Token b) { return logits[a] > logits[b]; });
  for (std::size_t i = 0; i < wanted; ++i) out.top.emplace_back(model_.piece(order[i], true), of(order[i]));
  return out;
}

}  // namespace bulkhead::inference
