// Parsing by simdjson, then one pass into nodes of our own: children of a node lie side by side, so
// a Value is one pointer; duplicate names, depth and size are checked in that pass.
#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/bytes.h"
#include "base/json.h"

namespace bulkhead::base::json {

struct Node {
  Type type = Type::Null;
  std::uint32_t count = 0;      // members or elements
  std::uint32_t first = 0;      // index of the first child
  const Node* nodes = nullptr;  // the document's node table
  std::string_view key;         // of an object's member
  std::string_view text;
  union {
    bool flag;
    std::int64_t integer;
    double real = 0;
  };
};

namespace {

// Comparing all pairs beats sorting for the objects of real requests. Larger ones are sorted, not
// hashed: a sender who knows the hash function could make every name collide.
constexpr std::size_t kLinearKeysMax = 16;

// simdjson's own count stops at 24 bits.
template <typename Container>
std::size_t count_of(const Container& container) {
  std::size_t count = container.size();
  if (count < 0xFFFFFF) return count;
  count = 0;
  for (auto child = container.begin(); child != container.end(); ++child) ++count;
  return count;
}

struct Builder {
  const Limits& limits;
  std::vector<Node>& nodes;
  std::string& strings;  // reserved beforehand: never moves
  std::optional<Error> failure;

  std::string_view keep(std::string_view text) {
    std::size_t at = strings.size();
    strings.append(text);
    return {strings.data() + at, text.size()};
  }

  void fail(JsonError code, std::string message) {
    if (!failure) failure.emplace(code, std::move(message));
  }

  bool reserve_children(std::size_t count, std::uint32_t& first) {
    if (nodes.size() + count > limits.nodes_max) {
      fail(JsonError::TooLarge, "The JSON holds too many values.");
      return false;
    }
    first = static_cast<std::uint32_t>(nodes.size());
    nodes.resize(nodes.size() + count);
    return true;
  }

  void check_duplicates(std::size_t first, std::size_t count) {
    auto duplicate = [this](std::string_view key) {
      fail(JsonError::DuplicateKey, "The JSON names " + quote(key.substr(0, 64)) + " twice in one object.");
    };
    if (count <= kLinearKeysMax) {
      for (std::size_t i = 1; i < count; ++i) {
        for (std::size_t k = 0; k < i; ++k) {
          if (nodes[first + i].key == nodes[first + k].key) return duplicate(nodes[first + i].key);
        }
      }
      return;
    }
    std::vector<std::string_view> keys(count);
    for (std::size_t i = 0; i < count; ++i) keys[i] = nodes[first + i].key;
    std::sort(keys.begin(), keys.end());
    auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice != keys.end()) duplicate(*twice);
  }

  void read(std::size_t at, simdjson::dom::element element, std::size_t depth) {
    if (failure) return;
    if (depth > limits.depth_max) {
      return fail(JsonError::TooDeep,
                  "The JSON is nested deeper than " + std::to_string(limits.depth_max) + " levels.");
    }
    switch (element.type()) {
      case simdjson::dom::element_type::NULL_VALUE: nodes[at].type = Type::Null; break;
      case simdjson::dom::element_type::BOOL:
        nodes[at].type = Type::Bool;
        nodes[at].flag = element.get_bool().value_unsafe();
        break;
      case simdjson::dom::element_type::INT64:
        nodes[at].type = Type::Int;
        nodes[at].integer = element.get_int64().value_unsafe();
        break;
      case simdjson::dom::element_type::UINT64:
        nodes[at].type = Type::Double;  // beyond int64: kept as a double, as I-JSON does
        nodes[at].real = static_cast<double>(element.get_uint64().value_unsafe());
        break;
      case simdjson::dom::element_type::DOUBLE:
        nodes[at].type = Type::Double;
        nodes[at].real = element.get_double().value_unsafe();
        break;
      case simdjson::dom::element_type::STRING:
        nodes[at].type = Type::String;
        nodes[at].text = keep(element.get_string().value_unsafe());
        break;
      case simdjson::dom::element_type::ARRAY:
        read_array(at, element.get_array().value_unsafe(), depth);
        break;
      case simdjson::dom::element_type::OBJECT:
        read_object(at, element.get_object().value_unsafe(), depth);
        break;
    }
  }

  void read_array(std::size_t at, simdjson::dom::array array, std::size_t depth) {
    std::size_t count = count_of(array);
    std::uint32_t first = 0;
    if (!reserve_children(count, first)) return;
    nodes[at].type = Type::Array;
    nodes[at].count = static_cast<std::uint32_t>(count);
    nodes[at].first = first;
    std::size_t i = first;
    for (simdjson::dom::element child : array) read(i++, child, depth + 1);
  }

  void read_object(std::size_t at, simdjson::dom::object object, std::size_t depth) {
    std::size_t count = count_of(object);
    std::uint32_t first = 0;
    if (!reserve_children(count, first)) return;
    nodes[at].type = Type::Object;
    nodes[at].count = static_cast<std::uint32_t>(count);
    nodes[at].first = first;
    std::size_t i = first;
    for (auto member : object) {
      nodes[i].key = keep(member.key);
      read(i++, member.value, depth + 1);
    }
    check_duplicates(first, count);
  }
};

// A parser a thread, for documents up to this size; larger ones get one of their own, so that one
// large upload doesn't pin memory for good.
constexpr std::size_t kSharedParserBytes = 256 << 10;

// Words of simdjson's tape that a parsed document takes: its first word points behind the last.
std::size_t tape_words(const simdjson::dom::document& doc) {
  return static_cast<std::size_t>(doc.tape[0] & 0x00FF'FFFF'FFFF'FFFF);
}

// simdjson keeps a document's strings and numbers until the next parse; a prompt must not stay
// there. The bounds are simdjson's own for an input of that many bytes (document::allocate).
void wipe_parser(simdjson::dom::document& doc, std::size_t input_bytes, std::size_t words) {
  if (doc.capacity() < input_bytes) return;  // refused before anything was written
  wipe(doc.string_buf.get(), 5 * input_bytes / 3 + simdjson::SIMDJSON_PADDING);
  wipe(doc.tape.get(), words * sizeof(std::uint64_t));
}

// simdjson's first stage copies the last block of the text to its stack frame.
[[gnu::noinline]] void wipe_stack_below() {
  unsigned char frames[4096];
  wipe(frames, sizeof frames);
}

JsonError kind_of(simdjson::error_code code) {
  if (code == simdjson::DEPTH_ERROR) return JsonError::TooDeep;
  if (code == simdjson::CAPACITY || code == simdjson::MEMALLOC) return JsonError::TooLarge;
  return JsonError::Malformed;
}

}  // namespace

struct Document::Impl {
  std::vector<Node> nodes;
  std::string strings;
  ~Impl() {
    wipe(strings);
    wipe(nodes.data(), nodes.size() * sizeof(Node));  // numbers
  }
};

ErrorName error_name(JsonError code) {
  switch (code) {
    case JsonError::Malformed: return {"json", "malformed"};
    case JsonError::TooLarge: return {"json", "too_large"};
    case JsonError::TooDeep: return {"json", "too_deep"};
    case JsonError::DuplicateKey: return {"json", "duplicate_key"};
  }
  return {"json", "unknown"};
}

std::string_view type_name(Type type) {
  switch (type) {
    case Type::Null: return "null";
    case Type::Bool: return "boolean";
    case Type::Int: return "integer";
    case Type::Double: return "number";
    case Type::String: return "string";
    case Type::Array: return "array";
    case Type::Object: return "object";
  }
  return "value";
}

Document::Document(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(Document&&) noexcept = default;
Document::~Document() = default;

Result<Document> Document::parse(std::string_view text, const Limits& limits) {
  if (text.size() > limits.bytes_max) {
    return Error(JsonError::TooLarge,
                 "The JSON is larger than " + std::to_string(limits.bytes_max) + " bytes.");
  }
  if (text.empty()) return Error(JsonError::Malformed, "Expected JSON, got an empty body.");
  thread_local simdjson::dom::parser shared;
  std::optional<simdjson::dom::parser> own;
  if (text.size() > kSharedParserBytes) own.emplace();
  simdjson::dom::parser& parser = own ? *own : shared;

  simdjson::padded_string padded(text);
  auto impl = std::make_unique<Impl>();
  auto cleanup = [&](std::size_t words) {
    wipe_stack_below();
    wipe(padded.data(), padded.size());
    wipe_parser(parser.doc, text.size(), words);
  };
  simdjson::dom::element root;
  // Depth is bounded by simdjson too (1024 by default), before our own walk.
  if (auto code = parser.parse(padded).get(root); code != simdjson::SUCCESS) {
    cleanup(text.size() + 3);
    return Error(kind_of(code), std::string("Not valid JSON: ") + simdjson::error_message(code));
  }
  // Unescaped strings are never longer than the text they stand in.
  impl->strings.reserve(text.size());
  // Every node takes at least one word of the tape, so this is the one allocation of nodes.
  std::size_t words = tape_words(parser.doc);
  impl->nodes.reserve(std::min(words, limits.nodes_max));
  impl->nodes.resize(1);
  Builder builder{limits, impl->nodes, impl->strings, {}};
  builder.read(0, root, 1);
  cleanup(words);
  if (builder.failure) return std::move(*builder.failure);
  for (Node& node : impl->nodes) node.nodes = impl->nodes.data();
  return Document(std::move(impl));
}

Value Document::root() const { return Value(&impl_->nodes[0]); }

Type Value::type() const { return node_ ? node_->type : Type::Null; }

std::optional<bool> Value::as_bool() const {
  if (!exists() || node_->type != Type::Bool) return std::nullopt;
  return node_->flag;
}

std::optional<std::int64_t> Value::as_int() const {
  if (!exists() || node_->type != Type::Int) return std::nullopt;
  return node_->integer;
}

std::optional<double> Value::as_double() const {
  if (!exists()) return std::nullopt;
  if (node_->type == Type::Int) return static_cast<double>(node_->integer);
  if (node_->type == Type::Double) return node_->real;
  return std::nullopt;
}

std::optional<std::string_view> Value::as_string() const {
  if (!exists() || node_->type != Type::String) return std::nullopt;
  return node_->text;
}

std::size_t Value::size() const { return node_ ? node_->count : 0; }

Value Value::operator[](std::string_view key) const {
  if (!is_object()) return {};
  const Node* members = node_->nodes + node_->first;
  for (std::uint32_t i = 0; i < node_->count; ++i) {
    if (members[i].key == key) return Value(members + i);
  }
  return {};
}

Value Value::at(std::size_t index) const {
  if (!node_ || index >= node_->count) return {};
  return Value(node_->nodes + node_->first + index);
}

std::string_view Value::key_at(std::size_t index) const {
  if (!is_object() || index >= node_->count) return {};
  return node_->nodes[node_->first + index].key;
}

std::optional<std::string> first_unknown_key(const Value& object,
                                             std::initializer_list<std::string_view> allowed) {
  for (std::size_t i = 0; i < object.size(); ++i) {
    std::string_view key = object.key_at(i);
    if (std::find(allowed.begin(), allowed.end(), key) == allowed.end()) return std::string(key);
  }
  return std::nullopt;
}

}  // namespace bulkhead::base::json
