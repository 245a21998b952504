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
  if (request.constraint.grammar) {
    BULKHEAD_TRY(constraint, ConstraintState::make(request.constraint));
    sampler->constraint_ = std::move(constraint);
  }
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

void Sampler::fill(const float* logits) {
  candidates_.resize(static_cast<std::size_t>(llama_vocab_n_tokens(model_.vocab())));
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    candidates_[i] = {static_cast<llama_token>(i), logits[i], 0.0f};
  }
}

bool Sampler::allowed(Token token) {
  if (model_.ends_generation(token)) return constraint_->may_end();
  return constraint_->allows(model_.piece(token, true));
}

bool Sampler::accept(Token token) {
  if (constraint_ && !model_.ends_generation(token) && !constraint_->accept(model_.piece(token, true))) {
    return false;
  }
  if (chain_) llama_sampler_accept(chain_.get(), token);
  return true;
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
    std::erase_if(candidates_, [this](const llama_token_data& one) { return !allowed(one.id); });
    if (constraint_->exhausted()) return std::nullopt;
    if (!candidates_.empty()) return draw();
    if (asked < count) return std::nullopt;
  }
}

std::optional<Token> Sampler::sample(const float* logits) {
  std::optional<Token> token;
  if (constraint_) constraint_->begin_token();
  if (!chain_ && !constraint_) {
    token =
        static_cast<Token>(std::max_element(logits, logits + llama_vocab_n_tokens(model_.vocab())) - logits);
  } else {
    fill(logits);
    token = draw();
  }
  if (constraint_ && token && !allowed(*token)) token = draw_allowed(logits);
  return token && accept(*token) ? token : std::nullopt;
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
  // One look at each token of the vocabulary: all tenants' answers wait for it.
  std::vector<Token> top;
  auto likelier = [logits](Token a, Token b) { return logits[a] > logits[b]; };
  for (std::size_t i = 0; i < count; ++i) {
    const auto one = static_cast<Token>(i);
    if (top.size() == wanted && !likelier(one, top.back())) continue;
    if (top.size() == wanted) top.pop_back();
    top.insert(std::upper_bound(top.begin(), top.end(), one, likelier), one);
  }
  for (Token one : top) out.top.emplace_back(model_.piece(one, true), of(one));
  return out;
}

}  // namespace bulkhead::inference
