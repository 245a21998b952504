#include "inference/sequence.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"

namespace bulkhead::inference {

namespace {

void wipe_bytes(std::vector<std::uint8_t>& bytes) {
  if (!bytes.empty()) base::wipe(bytes.data(), bytes.size());
}

}  // namespace

Rows& Rows::operator=(Rows&& other) noexcept {
  if (this != &other) {
    wipe_bytes(bytes_);
    bytes_ = std::move(other.bytes_);
  }
  return *this;
}

Rows::~Rows() { wipe_bytes(bytes_); }

Sequence::Sequence(std::shared_ptr<Generation> g, std::size_t which)
    : generation(std::move(g)), choice(which), text(generation->request.stop) {}

void Sequence::hold(Token token) {
  held.push_back(token);
  cells_used = std::max(cells_used, held.size());
}

void Sequence::fail(base::Error error) {
  if (!ended()) failure.emplace(std::move(error));
}

void Sequence::push_text(std::string piece, std::optional<TokenLogprob> logprob) {
  if (piece.empty() && !logprob) return;
  GenerationChannel::Item item;
  item.choice = choice;
  item.text = std::move(piece);
  item.tokens = take_untold();
  if (logprob) item.logprobs.push_back(std::move(*logprob));
  generation->channel->push(std::move(item));
}

std::int64_t Sequence::take_untold() { return generated - std::exchange(told, generated); }

void Sequence::accept(const Model& model, Token token, std::optional<TokenLogprob> logprob) {
  if (model.ends_generation(token)) {
    finish_reason = "stop";
    return;
  }
  next = token;
  ++generated;
  bool shown = request().shown_tokens.contains(token);
  push_text(text.add(model.piece(token, shown)), std::move(logprob));
  if (text.stopped()) {
    finish_reason = "stop";
  } else if (generated >= generated_max) {
    finish_reason = "length";
  }
}

}  // namespace bulkhead::inference
