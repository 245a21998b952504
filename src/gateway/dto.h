// Reading request bodies: strict objects in OpenAI's shapes. Every mistake names the parameter.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "gateway/api_error.h"
#include "http/message.h"
#include "storage/store.h"

namespace bulkhead::gateway {

// Parses a JSON body whose root is an object; checks the content type.
base::Result<base::json::Document> read_json_object(const http::Request& request);
// The same; an empty body counts as an empty object.
base::Result<base::json::Document> read_optional_json_object(const http::Request& request);

// A reader of one object's members. The first mistake is kept; `finish` gives it, or refuses members
// that were never asked for.
class ObjectReader {
 public:
  explicit ObjectReader(const base::json::Value& object, std::string path = {})
      : object_(object), path_(std::move(path)) {
    known_.reserve(kMembersExpected);
  }

  std::optional<std::string> text(std::string_view key, std::size_t bytes_max, bool required = false);
  std::optional<std::int64_t> integer(std::string_view key, std::int64_t least, std::int64_t most);
  std::optional<double> real(std::string_view key, double least, double most);
  std::optional<bool> flag(std::string_view key);
  std::vector<std::string> texts(std::string_view key, std::size_t count_max, std::size_t bytes_max);
  // Any value; null counts as absent.
  base::json::Value value(std::string_view key);
  // Metadata as OpenAI bounds it: up to 16 pairs of strings, 64 and 512 characters. JSON text.
  std::optional<std::string> metadata(std::string_view key);

  // Known to OpenAI's API but not served here: refused by name unless its value has no effect.
  void unsupported(std::string_view key, std::string_view why);
  void unsupported_unless(std::string_view key, std::int64_t harmless, std::string_view why);
  void unsupported_unless_false(std::string_view key, std::string_view why);

  void fail(base::Error error);
  bool failed() const { return failure_.has_value(); }
  base::Result<void> finish();
  std::string name_of(std::string_view key) const;

 private:
  static constexpr std::size_t kMembersExpected = 40;  // a chat request knows that many
  base::json::Value find(std::string_view key);
  void wrong_type(std::string_view key, std::string_view expected);

  base::json::Value object_;
  std::string path_;
  std::vector<std::string_view> known_;
  std::optional<base::Error> failure_;
};

// limit, after, order of a list request; other query parameters are refused.
base::Result<storage::Page> read_page(const http::Request& request,
                                      std::initializer_list<std::string_view> also = {});
base::Result<void> refuse_query(const http::Request& request);

// {"object":"list","data":[…],"first_id","last_id","has_more"}; `items` are JSON objects.
std::string list_body(const std::vector<std::string>& items, const std::vector<std::string>& ids,
                      bool has_more);
// {"id","object","deleted":true}
std::string deleted_body(std::string_view id, std::string_view object);

}  // namespace bulkhead::gateway
