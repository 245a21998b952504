// An answer as it grows: pieces from the generation's channel become what a client is shown, whole or in
// chunks. With tools, calls are read out of the text and content that could be the beginning of a call
// waits until it is clear that it is none.
#pragma once

#include <string>
#include <vector>

#include "inference/generation.h"
#include "inference/wire.h"

namespace bulkhead::inference {

class Answer {
 public:
  // `format` may be null: then all text is content.
  Answer(std::size_t choices, bool logprobs, std::shared_ptr<const AnswerFormat> format);
  // Takes an item and gives what may be shown now, which may be empty.
  AnswerChoice take(const GenerationChannel::Item& item);
  // Everything so far, by choice.
  const std::vector<AnswerChoice>& choices() const { return whole_; }
  // Generated so far, over all choices.
  std::int64_t tokens() const { return tokens_; }

 private:
  void take_with_tools(std::size_t index, bool ended, AnswerChoice& piece);
  std::shared_ptr<const AnswerFormat> format_;
  bool logprobs_;
  std::int64_t tokens_ = 0;
  std::vector<AnswerChoice> whole_;
  std::vector<std::string> raw_;   // with tools: the model's own text
  std::vector<std::size_t> read_;  // bytes of it when it was last read
};

}  // namespace bulkhead::inference
