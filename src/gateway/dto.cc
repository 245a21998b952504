#include "gateway/dto.h"

#include <algorithm>
#include <charconv>

namespace bulkhead::gateway {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kMetadataPairsMax = 16;
constexpr std::size_t kMetadataKeyMax = 64;
constexpr std::size_t kMetadataValueMax = 512;

Result<json::Document> parse_object(std::string_view body) {
  auto document = json::Document::parse(body);
  if (!document) return api_error(ApiError::NotJson, document.error().message());
  if (!document->root().is_object()) {
    return api_error(ApiError::NotJson, "The body must be a JSON object.");
  }
  return document;
}

bool is_json_type(std::string_view type) {
  std::string_view media = type.substr(0, type.find(';'));
  while (!media.empty() && media.back() == ' ') media.remove_suffix(1);
  return media == "application/json" || media == "Application/JSON";
}

Result<void> check_type(const http::Request& request) {
  auto type = request.headers.single("content-type");
  if (!type || !is_json_type(*type)) {
    return api_error(ApiError::UnsupportedMediaType, "Send the body as application/json.");
  }
  return Result<void>();
}

}  // namespace

Result<json::Document> read_json_object(const http::Request& request) {
  BULKHEAD_CHECK_OK(check_type(request));
  return parse_object(request.body);
}

Result<json::Document> read_optional_json_object(const http::Request& request) {
  if (request.body.empty()) return parse_object("{}");
  return read_json_object(request);
}

std::string ObjectReader::name_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

json::Value ObjectReader::find(std::string_view key) {
  known_.push_back(key);
  json::Value value = object_[key];
  return value.is_null() ? json::Value() : value;
}

void ObjectReader::fail(Error error) {
  if (!failure_) failure_.emplace(std::move(error));
}

void ObjectReader::wrong_type(std::string_view key, std::string_view expected) {
  std::string name = name_of(key);
  fail(api_error(ApiError::BadParameter, "'" + name + "' must be " + std::string(expected) + ".", name));
}

json::Value ObjectReader::value(std::string_view key) { return find(key); }

std::optional<std::string> ObjectReader::text(std::string_view key, std::size_t bytes_max, bool required) {
  json::Value found = find(key);
  if (!found.exists()) {
    if (required) {
      std::string name = name_of(key);
      fail(api_error(ApiError::MissingParameter, "'" + name + "' is needed.", name));
    }
    return std::nullopt;
  }
  auto text = found.as_string();
  if (!text) {
    wrong_type(key, "a string");
    return std::nullopt;
  }
  if (text->size() > bytes_max) {
    wrong_type(key, "at most " + std::to_string(bytes_max) + " bytes long");
    return std::nullopt;
  }
  return std::string(*text);
}

std::optional<std::int64_t> ObjectReader::integer(std::string_view key, std::int64_t least,
                                                  std::int64_t most) {
  json::Value found = find(key);
  if (!found.exists()) return std::nullopt;
  auto number = found.as_int();
  if (!number || *number < least || *number > most) {
    wrong_type(key, "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    return std::nullopt;
  }
  return number;
}

std::optional<double> ObjectReader::real(std::string_view key, double least, double most) {
  json::Value found = find(key);
  if (!found.exists()) return std::nullopt;
  auto number = found.as_double();
  if (!number || !(*number >= least && *number <= most)) {
    auto shown = [](double bound) {
      std::string text = std::to_string(bound);
      return text.substr(0, text.find('.') + 2);
    };
    wrong_type(key, "a number from " + shown(least) + " to " + shown(most));
    return std::nullopt;
  }
  return number;
}

std::optional<bool> ObjectReader::flag(std::string_view key) {
  json::Value found = find(key);
  if (!found.exists()) return std::nullopt;
  auto flag = found.as_bool();
  if (!flag) wrong_type(key, "true or false");
  return flag;
}

std::vector<std::string> ObjectReader::texts(std::string_view key, std::size_t count_max,
                                             std::size_t bytes_max) {
  json::Value found = find(key);
  std::vector<std::string> out;
  if (!found.exists()) return out;
  if (!found.is_array() || found.size() > count_max) {
    wrong_type(key, "a list of at most " + std::to_string(count_max) + " strings");
    return out;
  }
  for (std::size_t i = 0; i < found.size(); ++i) {
    auto text = found.at(i).as_string();
    if (!text || text->size() > bytes_max) {
      wrong_type(key, "a list of strings of at most " + std::to_string(bytes_max) + " bytes");
      return {};
    }
    out.emplace_back(*text);
  }
  return out;
}

std::optional<std::string> ObjectReader::metadata(std::string_view key) {
  json::Value found = find(key);
  if (!found.exists()) return std::nullopt;
  bool fits = found.is_object() && found.size() <= kMetadataPairsMax;
  for (std::size_t i = 0; fits && i < found.size(); ++i) {
    auto text = found.at(i).as_string();
    fits = text && text->size() <= kMetadataValueMax && found.key_at(i).size() <= kMetadataKeyMax;
  }
  if (!fits) {
    wrong_type(key, "an object of at most 16 strings (names up to 64, values up to 512 bytes)");
    return std::nullopt;
  }
  json::Writer copy;
  copy.copy(found);
  return copy.take();
}

void ObjectReader::unsupported(std::string_view key, std::string_view why) {
  if (!find(key).exists()) return;
  std::string name = name_of(key);
  fail(api_error(ApiError::UnsupportedParameter,
                 "'" + name + "' is not supported: " + std::string(why) + " Remove it.", name));
}

void ObjectReader::unsupported_unless(std::string_view key, std::int64_t harmless, std::string_view why) {
  auto number = object_[key].as_double();
  known_.push_back(key);
  if (number && *number == static_cast<double>(harmless)) return;
  unsupported(key, why);
}

void ObjectReader::unsupported_unless_false(std::string_view key, std::string_view why) {
  auto flag = object_[key].as_bool();
  known_.push_back(key);
  if (flag && !*flag) return;
  unsupported(key, why);
}

Result<void> ObjectReader::finish() {
  for (std::size_t i = 0; i < object_.size() && !failure_; ++i) {
    std::string_view key = object_.key_at(i);
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    std::string name = name_of(key.substr(0, 64));
    fail(api_error(ApiError::UnknownParameter, "There is no parameter '" + name + "' here.", name));
  }
  if (failure_) return std::move(*failure_);
  return Result<void>();
}

Result<storage::Page> read_page(const http::Request& request, std::initializer_list<std::string_view> also) {
  storage::Page page;
  for (const auto& [name, value] : request.query) {
    if (name == "limit") {
      std::size_t limit = 0;
      auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), limit);
      if (failed != std::errc() || end != value.data() + value.size() || limit < 1 || limit > 100) {
        return api_error(ApiError::BadParameter, "'limit' must be a whole number from 1 to 100.", "limit");
      }
      page.limit = limit;
    } else if (name == "after") {
      if (!base::is_identifier(value)) {
        return api_error(ApiError::BadParameter, "'after' must be an id from the list before.", "after");
      }
      page.after = value;
    } else if (name == "order") {
      if (value != "asc" && value != "desc") {
        return api_error(ApiError::BadParameter, "'order' must be asc or desc.", "order");
      }
      page.ascending = value == "asc";
    } else if (std::find(also.begin(), also.end(), name) == also.end()) {
      return api_error(ApiError::UnknownParameter,
                       "There is no query parameter '" + name.substr(0, 64) + "' here.", name.substr(0, 64));
    }
  }
  return page;
}

Result<void> refuse_query(const http::Request& request) {
  if (request.query.empty()) return Result<void>();
  std::string name = request.query.front().first.substr(0, 64);
  return api_error(ApiError::UnknownParameter, "There is no query parameter '" + name + "' here.", name);
}

std::string list_body(const std::vector<std::string>& items, const std::vector<std::string>& ids,
                      bool has_more) {
  json::Writer w;
  w.begin_object().member("object", "list").key("data").begin_array();
  for (const std::string& item : items) w.raw(item);
  w.end_array();
  if (ids.empty()) {
    w.key("first_id").null().key("last_id").null();
  } else {
    w.member("first_id", ids.front()).member("last_id", ids.back());
  }
  w.member("has_more", has_more).end_object();
  return w.take();
}

std::string deleted_body(std::string_view id, std::string_view object) {
  json::Writer w;
  w.begin_object().member("id", id).member("object", object).member("deleted", true).end_object();
  return w.take();
}

}  // namespace bulkhead::gateway
