// One answer under way: its place in the cache, its text so far, its end.
//
// It lives in a slot (a KV stream of the context) while it decodes, and without one before its turn or
// while it is set aside for another tenant; then `rows` holds what it had read and written.
// Used by the scheduler's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "inference/generation.h"
#include "inference/lookahead.h"
#include "inference/sampler.h"
#include "inference/text_stream.h"

namespace bulkhead::inference {

// K and V rows of a sequence as bytes, zeroed when dropped.
class Rows {
 public:
  Rows() = default;
  explicit Rows(std::vector<std::uint8_t> bytes) : bytes_(std::move(bytes)) {}
  Rows(Rows&&) noexcept = default;
  Rows& operator=(Rows&&) noexcept;
  ~Rows();
  bool empty() const { return bytes_.empty(); }
  const std::vector<std::uint8_t>& bytes() const { return bytes_; }
  std::vector<std::uint8_t> take() { return std::move(bytes_); }

 private:
  std::vector<std::uint8_t> bytes_;
};

struct Sequence {
  Sequence(std::shared_ptr<Generation> g, std::size_t which);

  const GenerationRequest& request() const { return generation->request; }
  const Tokens& prompt() const { return generation->request.prompt; }
  bool reading() const { return held.size() < prompt().size(); }
  bool ended() const { return !finish_reason.empty() || failure.has_value(); }
  // Counts a token whose rows are in the cache now.
  void hold(Token token);
  // Takes the model's token: text goes out, or the sequence ends.
  void accept(const Model& model, Token token, std::optional<TokenLogprob> logprob);
  void fail(base::Error error);
  void push_text(std::string piece, std::optional<TokenLogprob> logprob);
  // How many tokens nobody was told of yet; now they are.
  std::int64_t take_untold();

  std::shared_ptr<Generation> generation;
  std::size_t choice = 0;
  TextStream text;
  std::unique_ptr<Sampler> sampler;
  Tokens held;                 // tokens whose rows are in the cache, from position 0
  std::size_t cells_used = 0;  // the most that ever were: what burning must cover
  Token next = -1;             // sampled, not decoded yet
  std::int64_t generated = 0, generated_max = 0;
  std::int64_t told = 0;        // of `generated`, that an item has told of
  std::int32_t logits_at = -1;  // index in the current batch; those of `guessed` follow
  Tokens guessed;               // for the places after `next`, in the current batch
  GuessRecord guesses;
  std::string finish_reason;
  std::optional<base::Error> failure;
  Rows rows;                          // of `held`, while it has no slot
  std::shared_ptr<const Rows> start;  // of the prompt, read by the first choice
  std::chrono::steady_clock::time_point arrived{};
  bool started = false;      // has had a slot
  std::uint64_t placed = 0;  // order of getting its slot
};

}  // namespace bulkhead::inference
