// JSON in and out.
//
// Reading is strict (RFC 8259 and I-JSON, RFC 7493): UTF-8 only, no duplicate member names, no
// trailing bytes, bounded size and depth. Parsed by simdjson; a Document owns everything its
// Values point into, so Values must not outlive it. Document wipes its text when destroyed.
// Writing appends to one string, escapes all that must be escaped, puts U+FFFD where text is not
// UTF-8, and never throws.
//
// Thread safety: a Document is immutable after parse; a Writer belongs to one thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::base::json {

enum class JsonError { Malformed, TooLarge, TooDeep, DuplicateKey };
ErrorName error_name(JsonError code);

struct Limits {
  std::size_t bytes_max = 16u << 20;
  std::size_t depth_max = 64;
  std::size_t nodes_max = 1'000'000;
};

enum class Type : std::uint8_t { Null, Bool, Int, Double, String, Array, Object };
std::string_view type_name(Type type);  // "string", "array", ... for error messages

struct Node;

// A view of one value; cheap to copy. A default-made Value is absent: `exists()` is false and
// every accessor of it gives nothing.
class Value {
 public:
  Value() = default;
  bool exists() const { return node_ != nullptr; }
  Type type() const;
  bool is_null() const { return exists() && type() == Type::Null; }
  bool is_object() const { return exists() && type() == Type::Object; }
  bool is_array() const { return exists() && type() == Type::Array; }
  bool is_string() const { return exists() && type() == Type::String; }

  std::optional<bool> as_bool() const;
  std::optional<std::int64_t> as_int() const;  // Int only
  std::optional<double> as_double() const;     // Int or Double
  std::optional<std::string_view> as_string() const;

  std::size_t size() const;                          // members or elements; 0 for scalars
  Value operator[](std::string_view key) const;      // member, or absent
  Value at(std::size_t index) const;                 // element or n-th member's value, or absent
  std::string_view key_at(std::size_t index) const;  // n-th member's name

 private:
  friend class Document;
  Value(const Node* node) : node_(node) {}
  const Node* node_ = nullptr;
};

class Document {
 public:
  static Result<Document> parse(std::string_view text, const Limits& limits);
  static Result<Document> parse(std::string_view text) { return parse(text, Limits{}); }
  Document(Document&&) noexcept;
  Document& operator=(Document&&) noexcept;
  ~Document();
  Value root() const;

 private:
  struct Impl;
  explicit Document(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Writes one value. Commas are placed by the writer:
//   Writer w; w.begin_object().key("id").value("x").key("n").value(3).end_object(); w.take();
class Writer {
 public:
  Writer();
  Writer& begin_object();
  Writer& end_object();
  Writer& begin_array();
  Writer& end_array();
  Writer& key(std::string_view name);
  Writer& value(std::string_view text);
  Writer& value(const char* text) { return value(std::string_view(text)); }
  Writer& value(const std::string& text) { return value(std::string_view(text)); }
  Writer& value(bool flag);
  Writer& value(std::int64_t number);
  Writer& value(int number) { return value(static_cast<std::int64_t>(number)); }
  Writer& value(std::uint64_t number);
  Writer& value(double number);  // non-finite becomes null
  Writer& null();
  Writer& raw(std::string_view json);  // already well-formed JSON
  Writer& copy(const Value& value);    // re-serialises a parsed value
  // key and value in one call
  template <typename T>
  Writer& member(std::string_view name, const T& content) {
    key(name);
    return value(content);
  }
  const std::string& text() const { return out_; }
  std::string take() { return std::move(out_); }

 private:
  static constexpr std::size_t kBytesExpected = 1000;
  void separate();
  std::string out_;
  bool need_comma_ = false;
};

// `text` as a JSON string literal, quotes included.
std::string quote(std::string_view text);

// The first member of `object` whose name is not in `allowed`, or nothing. Names are compared
// byte by byte, so a case variant counts as foreign.
std::optional<std::string> first_unknown_key(const Value& object,
                                             std::initializer_list<std::string_view> allowed);

}  // namespace bulkhead::base::json
