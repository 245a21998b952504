// JSON schemas from clients, which become grammars that run between two tokens of every tenant: a
// schema gives a bounded grammar, the same each time, or an error that says what can't be honoured. What is
// matched against it, here the schema's own text, stays within the matcher's bounds.
#include "check.h"
#include "inference/grammar.h"
#include "inference/grammar_state.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead;
  using fuzz::require;
  std::string_view text = fuzz::text_of(data, size);
  auto grammar = inference::checked_grammar(text);
  if (!grammar) {
    fuzz::require_told(grammar.error());
    require(grammar.error().as<inference::InferenceError>().has_value(),
            "an error is one of inference's own");
    return 0;
  }
  require((*grammar)->size() <= (size + 64) * 4096, "a grammar stays in proportion to its schema");
  auto again = inference::checked_grammar(text);
  require(again.ok() && (*again)->size() == (*grammar)->size(), "a schema has one grammar");
  inference::MatchBounds bounds;
  inference::GrammarState state(*grammar, bounds);
  for (char byte : text) {
    state.begin_token();
    const bool allowed = state.allows(std::string_view(&byte, 1));
    require(state.accept(std::string_view(&byte, 1)) == allowed, "what is allowed is accepted");
    require(state.states() <= bounds.states + 1 && state.nodes() <= bounds.nodes, "the bounds hold");
    if (!allowed) break;
  }
  return 0;
}
