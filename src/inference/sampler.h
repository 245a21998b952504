// Sampler: picks one sequence's next token from the logits, under its penalties, biases and grammar.
//
// Order: logit bias, penalties, (grammar), top-k 40, top-p, temperature, a draw. The grammar is asked
// about the drawn token alone; when it refuses, about the likeliest few, then more of them, and about the
// whole vocabulary only when none of those can stand. What it may cost at one token is bounded
// (grammar_state.h): beyond that the answer fails, since all tenants' answers wait for this one's token. Its
// memory is freed, and thereby wiped, with the sequence. Used by the scheduler's thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "inference/constraint.h"
#include "inference/generation.h"
#include "inference/model.h"

namespace bulkhead::inference {

class Sampler {
 public:
  // BadGrammar when the constraint can't be compiled. Each choice draws differently, under one seed too.
  static base::Result<std::unique_ptr<Sampler>> make(const Model& model, const GenerationRequest& request,
                                                     std::size_t choice = 0);
  ~Sampler();

  // `logits` has one entry a token of the vocabulary. Nothing when no token can continue.
  std::optional<Token> sample(const float* logits);
  // Log probability of `token` among raw logits, with the likeliest others.
  TokenLogprob logprob(const float* logits, Token token) const;
  bool reports_logprobs() const { return options_.top_logprobs.has_value(); }

 private:
  struct Free {
    void operator()(llama_sampler* sampler) const { llama_sampler_free(sampler); }
  };
  using Owned = std::unique_ptr<llama_sampler, Free>;
  Sampler(const Model& model, SamplingOptions options) : model_(model), options_(std::move(options)) {}
  void add(llama_sampler* part) { llama_sampler_chain_add(chain_.get(), part); }
  void build(std::size_t choice);
  void fill(const float* logits);
  bool allowed(Token token);
  bool accept(Token token);
  std::optional<Token> draw();
  std::optional<Token> draw_allowed(const float* logits);

  const Model& model_;
  SamplingOptions options_;
  Owned chain_;                                  // none: the likeliest token
  std::unique_ptr<ConstraintState> constraint_;  // none: unconstrained
  std::vector<llama_token_data> candidates_;
};

}  // namespace bulkhead::inference
