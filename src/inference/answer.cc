#include "inference/answer.h"

#include <iterator>

namespace bulkhead::inference {

namespace {
constexpr std::size_t kReadingGrowth = 64;
}

Answer::Answer(std::size_t choices, bool logprobs, std::shared_ptr<const AnswerFormat> format)
    : format_(std::move(format)), logprobs_(logprobs), whole_(choices), raw_(choices), read_(choices) {
  for (AnswerChoice& choice : whole_) choice.has_logprobs = logprobs_;
}

void Answer::take_with_tools(std::size_t index, bool ended, AnswerChoice& piece) {
  raw_[index] += piece.text;
  piece.text.clear();
  // The whole text is read each time: more seldom as it grows, so that a long answer costs no more than a
  // few hundred readings of the thread that all tenants' answers go through.
  if (!ended && raw_[index].size() < read_[index] + 1 + read_[index] / kReadingGrowth) return;
  read_[index] = raw_[index].size();
  ParsedAnswer parsed = format_->parse(raw_[index], ended);
  // What was shown stays; a parser that changes its mind about it adds nothing.
  const std::string& shown = whole_[index].text;
  if (parsed.content.starts_with(shown)) piece.text = parsed.content.substr(shown.size());
  piece.calls = std::move(parsed.calls);
  if (!piece.calls.empty()) piece.finish_reason = "tool_calls";
}

AnswerChoice Answer::take(const GenerationChannel::Item& item) {
  AnswerChoice piece;
  tokens_ += item.tokens;
  piece.text = item.text;
  piece.finish_reason = item.finish_reason;
  piece.logprobs = item.logprobs;
  piece.has_logprobs = logprobs_ && !item.logprobs.empty();
  if (format_) take_with_tools(item.choice, !item.finish_reason.empty(), piece);
  AnswerChoice& whole = whole_[item.choice];
  whole.text += piece.text;
  whole.calls = piece.calls;
  std::copy(piece.logprobs.begin(), piece.logprobs.end(), std::back_inserter(whole.logprobs));
  whole.finish_reason = piece.finish_reason;
  return piece;
}

}  // namespace bulkhead::inference
