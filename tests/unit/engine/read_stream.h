// What an engine's generation gives, read to its end.
#pragma once

#include "engine/engine.h"

namespace bulkhead::engine::testing {

inline base::Task<base::Result<Completion>> read_answer(Engine& engine, CallContext context,
                                                        ChatRequest request) {
  auto stream = co_await engine.chat(std::move(context), std::move(request));
  if (!stream) co_return stream.take_error();
  std::vector<Choice> choices;
  while (true) {
    auto piece = co_await (*stream)->next();
    if (!piece) co_return piece.take_error();
    if (!*piece) break;
    choices.resize(std::max(choices.size(), (*piece)->choice + 1));
    Choice& choice = choices[(*piece)->choice];
    choice.text += (*piece)->text;
    for (ToolCall& call : (*piece)->tool_calls) choice.tool_calls.push_back(std::move(call));
  }
  Completion whole = (*stream)->result();
  for (std::size_t i = 0; i < choices.size(); ++i) {
    choices[i].finish_reason = whole.choices[i].finish_reason;
    whole.choices[i] = std::move(choices[i]);
  }
  co_return whole;
}

}  // namespace bulkhead::engine::testing
