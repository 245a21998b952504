// JSON schemas from clients, which become grammars that run between two tokens of every tenant: a
// schema gives a bounded grammar, the same each time, or an error that says what can't be honoured.
#include "check.h"
#include "inference/grammar.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead;
  using fuzz::require;
  std::string_view text = fuzz::text_of(data, size);
  auto grammar = inference::grammar_of_schema(text);
  if (!grammar) {
    fuzz::require_told(grammar.error());
    require(grammar.error().as<inference::InferenceError>().has_value(),
            "an error is one of inference's own");
  } else {
    require(grammar->find("root") != std::string::npos, "a grammar has a root");
    require(grammar->size() <= (size + 64) * 4096, "a grammar stays in proportion to its schema");
    auto again = inference::grammar_of_schema(text);
    require(again.ok() && *again == *grammar, "a schema has one grammar");
  }
  static_cast<void>(inference::has_nested_repetition(text));
  return 0;
}
