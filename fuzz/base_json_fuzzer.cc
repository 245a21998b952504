// JSON: what is read and written again reads the same, and writing that once more changes no byte;
// bounds hold; any text becomes a literal that reads back.
#include <cmath>

#include "base/json.h"
#include "check.h"

namespace {

namespace json = bulkhead::base::json;
using bulkhead::fuzz::require;

constexpr json::Limits kLimits{.bytes_max = 4096, .depth_max = 12, .nodes_max = 300};

struct Measure {
  std::size_t nodes = 0, depth = 0;
};

void measure(const json::Value& value, std::size_t depth, Measure& out) {
  ++out.nodes;
  out.depth = std::max(out.depth, depth);
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (value.is_object()) {
      require(value[value.key_at(i)].exists(), "a member is found by its name");
      for (std::size_t k = 0; k < i; ++k) require(value.key_at(i) != value.key_at(k), "names are unique");
    }
    measure(value.at(i), depth + 1, out);
  }
  require(!value.at(value.size()).exists(), "nothing stands behind the end");
}

bool same(const json::Value& a, const json::Value& b) {
  if (a.as_double() || b.as_double()) return a.as_double() == b.as_double();
  if (a.type() != b.type() || a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a.is_object() && a.key_at(i) != b.key_at(i)) return false;
    if (!same(a.at(i), b.at(i))) return false;
  }
  return a.as_bool() == b.as_bool() && a.as_string() == b.as_string();
}

std::string written(const json::Value& value) {
  json::Writer writer;
  writer.copy(value);
  return writer.take();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = bulkhead::fuzz::text_of(data, size);

  // Any bytes at all become one string literal; what was UTF-8 comes back as it was.
  std::string literal = json::quote(text);
  auto quoted = json::Document::parse(literal, {.bytes_max = literal.size(), .depth_max = 1, .nodes_max = 1});
  require(quoted.ok() && quoted->root().is_string(), "a quoted text is a JSON string");
  require(json::quote(*quoted->root().as_string()) == literal, "quoting is stable");

  auto document = json::Document::parse(text, kLimits);
  if (!document) {
    bulkhead::fuzz::require_told(document.error());
    require(document.error().as<json::JsonError>().has_value(), "an error is one of JSON's own");
    return 0;
  }
  Measure found;
  measure(document->root(), 1, found);
  require(size <= kLimits.bytes_max && found.nodes <= kLimits.nodes_max && found.depth <= kLimits.depth_max,
          "bounds hold");
  std::string once = written(document->root());
  auto again = json::Document::parse(once);
  require(again.ok(), "what was written can be read");
  require(same(document->root(), again->root()), "what was written reads the same");
  std::string twice = written(again->root());
  auto third = json::Document::parse(twice);
  require(third.ok() && written(third->root()) == twice, "writing is stable");
  return 0;
}
